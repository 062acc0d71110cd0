"""Conversion of ConvNets against live PyTorch and the golden teacher, through the command line's code."""

import argparse
import json
import subprocess

import numpy as np
import pytest
import safetensors.torch
import torch
from modules import NORMS, dc_state, images_of, nhwc, official, spec

import gift_jax
from convert.families import find_family
from convert.teacher import make_reference
from gift_jax.models import get_model
from gift_jax.teachers.teacher import load_weights

UNTOLD = ("instance", "group")  # norms that hold the same arrays
CIFAR = ("--dataset", "cifar10", "--model", "conv3")


def test_golden_teacher_gives_pytorchs_logits_and_tells_what_was_converted(golden, done, tmp_path):
    out = done("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "teacher")
    assert "top-1 agreement 100 %" in out
    expected = np.load(golden / "cifar10_conv3_expected.npz")
    logits = gift_jax.load_teacher(tmp_path / "teacher").logits(expected["images_nchw"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4, rtol=0)
    info = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    told = {"architecture": "conv3", "dataset": "cifar10", "num_classes": 10, "image_size": 32}
    told |= {"source_file": "cifar10_conv3.pth"}
    assert info | told == info
    digest = subprocess.run(["sha256sum", golden / "cifar10_conv3.pth"], capture_output=True, text=True, check=True)
    assert info["source_sha256"] == digest.stdout.split()[0]
    assert info["verification"]["images"] == 16
    assert 0 < info["verification"]["max_relative"] < 1e-5
    assert {"jax", "torch", "flax"} <= info["versions"].keys()


@pytest.mark.parametrize("layout", ["official", "dc"])
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_and_layout_equals_pytorch(norm, layout, read):
    """Of each norm a training step is compared in `test_families.py`."""
    model_spec = spec(norm)
    module = official(model_spec)
    state = module.state_dict() if layout == "official" else dc_state(module)
    found, params, stats, *_ = read(state, spec(norm if norm in UNTOLD else "batch", width=128))
    assert found == model_spec
    images = images_of(model_spec)
    logits, _ = get_model(found).apply(params, stats, nhwc(images))
    expected = module(images).detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_export_gives_the_same_bits_back(suffix, full_disk, golden, convert, done, tmp_path):
    exported = tmp_path / f"back.{suffix}"
    convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "t")
    with full_disk(1000):
        status, _, err = convert("export", tmp_path / "t", "--out", exported)
    assert (status, len(err.splitlines()), f"back.{suffix}: " in err, "space" in err) == (2, 1, True, True)
    assert "[enforce fail" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    done("export", tmp_path / "t", "--out", exported)
    with torch.serialization.safe_globals([argparse.Namespace]):
        source = torch.load(golden / "cifar10_conv3.pth", weights_only=True)["model"]
    pth = suffix == "pth"
    back = torch.load(exported, weights_only=True)["model"] if pth else safetensors.torch.load_file(exported)
    assert back.keys() == source.keys()
    for name, tensor in source.items():
        assert torch.equal(tensor, back[name]), name
    info = load_weights(tmp_path / "t")[0]
    make_reference(find_family("conv3"), info.spec, back)  # load_state_dict(strict=True)
    assert f"exists    {exported}" in convert("export", tmp_path / "t", "--out", exported)[1]
    exported.write_bytes(b"another file")
    status, _, err = convert("export", tmp_path / "t", "--out", exported)
    assert (status, exported.read_bytes()) == (2, b"another file"), err


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_an_export_keeps_or_tells_the_normalisation(suffix, golden, done, tmp_path):
    given = ("--mean", 0.1, 0.1, 0.1, "--std", 0.2, 0.2, 0.2)
    done("teacher", golden / "cifar10_conv3.pth", *CIFAR, *given, "--out", tmp_path / "t")
    told = done("export", tmp_path / "t", "--out", tmp_path / f"back.{suffix}")
    assert "--mean 0.1 0.1 0.1 --std 0.2 0.2 0.2" in told
    options = () if suffix == "safetensors" else (*CIFAR, *given)
    done("teacher", tmp_path / f"back.{suffix}", *options, "--out", tmp_path / "again")
    first, again = (load_weights(tmp_path / name)[0] for name in ("t", "again"))
    assert (again.normalisation, again.spec, again.dataset) == (first.normalisation, first.spec, first.dataset)
    done(
        "teacher", tmp_path / f"back.{suffix}", *CIFAR, "--mean", 0, 0, 0, "--std", 1, 1, 1, "--out", tmp_path / "other"
    )
    assert load_weights(tmp_path / "other")[0].normalisation.std == (1.0, 1.0, 1.0)


def test_a_file_of_weights_has_an_ending_of_pytorchs(refused, tmp_path):
    sources = {"export": (tmp_path,), "example-teacher": ()}
    for command, source in sources.items():
        refused(command, *source, message="weights are written as .safetensors", names="result")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("--mean", "0.1", "--std", "0.5"), "--mean and --std have 1 values, but cifar10 has 3 channels"),
        (("--mean", "0.1", "0.1", "0.1", "--std", "0.5", "0.5", "0"), "std above zero;"),
        (("--mean", "123.7", "116.3", "103.5", "--std", "58.4", "57.1", "57.4"), "from 0 to 255 by 255"),
        (("--mean", "0.1", "0.1", "nan", "--std", "0.5", "0.5", "1"), "--mean takes FLOAT, not 'nan'"),
        (("--mean", "0.5"), "--mean and --std go together"),
    ],
)
def test_a_wrong_normalisation_is_refused(values, message, golden, refused):
    refused("teacher", golden / "cifar10_conv3.pth", *CIFAR, *values, message=message, names="")


def test_nothing_that_is_there_is_replaced_or_touched(golden, convert, done, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("...")
    arguments = ("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out")
    status, _, err = convert(*arguments, tmp_path / "precious")
    assert (status, (tmp_path / "precious" / "thesis.tex").read_text()) == (2, "...")
    assert "is not a teacher" in err
    done(*arguments, tmp_path / "t")
    (tmp_path / "t" / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    assert f"exists    {tmp_path / 't'}" in done(*arguments, tmp_path / "t")
    torch.save({"state_dict": official(spec(depth=3, width=128, size=32), 7).state_dict()}, tmp_path / "other.pth")
    other = (("teacher", tmp_path / "other.pth", *CIFAR), (*arguments[:-1], "--mean", 0.1, 0.1, 0.1, "--std", 1, 1, 1))
    for words in other:
        status, _, err = convert(*words, "--out", tmp_path / "t")
        assert (status, "holds something else, and is not replaced" in err) == (2, True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    (tmp_path / "other.pth").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "t"]
