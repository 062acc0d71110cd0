"""`python -m experiments.imagenet_ipc10` from the authors' files to a result, for two steps; in full at 224 pixels."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from convert.families import find_family
from experiments import imagenet_ipc10
from gift_jax.models import ModelSpec
from gift_jax.studies.results import read_results

CLASSES = 1000
FACTORS = {"resnet18": 2, "conv4": 1}  # of RDED's recipes


def jpeg(width, height, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


LARGE = pytest.param(("resnet18", 224), marks=pytest.mark.exhaustive)


@pytest.fixture(params=[("conv4", 64), LARGE], ids=["conv4", "resnet18"])
def student(request):
    """Name of the network and side of its images."""
    return request.param


@pytest.fixture
def place(student, tmp_path, monkeypatch):
    """RDED's mosaics, ten a class; one test image a class; the teacher's file as published, with random weights."""
    name, side = student
    mosaics, photographs = ([jpeg(*size, seed) for seed in range(5)] for size in ((side, side), (500, 375)))
    for label in range(CLASSES):
        folder = tmp_path / "rded" / f"{label:05d}"
        folder.mkdir(parents=True)
        for number in range(10):
            (folder / f"class{label:05d}_id{number:05d}.jpg").write_bytes(mosaics[(label + number) % 5])
        folder = tmp_path / "val" / f"n{label:08d}"
        folder.mkdir(parents=True)
        (folder / "ILSVRC2012_val.JPEG").write_bytes(photographs[label % 5])
    torch.manual_seed(0)
    module = find_family(name).reference(ModelSpec(name, CLASSES, side))
    torch.save(module.state_dict(), tmp_path / f"{name}-f37072fd.pth")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_the_authors_files_to_a_result(student, place, succeed):
    name, side = student
    options = {
        "model": name, "distilled": "rded", "teacher": f"{name}-f37072fd.pth", "data": "val", "out": "out",
        "seeds": 0, "epochs": 1, "max-steps": 2, "batch-size": 8,
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    out = succeed(imagenet_ipc10, *arguments)
    images = f"uint8[10000, {side}, {side}, 3]"
    for text in (images, f"{name} of imagenet-1k", "top-1 agreement 100 %", f"uint8[1000, {side}"):
        assert text in out
    [row] = read_results(place / "out" / "results.jsonl")
    assert (row["recipe"]["factor"], row["recipe"]["batch_size"], row["loss"]) == (FACTORS[name], 8, "gift")
    assert row["recipe"]["optimizer"]["name"] == "adamw"
    assert 0 <= row["top1_last"] <= 5
