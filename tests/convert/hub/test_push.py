"""What push writes is read back with equal content, by this project and by others' readers."""

import dataclasses
import io
import json

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from modules import official, spec
from PIL import Image
from setups import distilled_set

import gift_jax
from convert.distilled import shards
from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet, save_distilled, to_parts
from gift_jax.data.transforms import Preprocessing
from gift_jax.readers import hub
from gift_jax.runtime.files import sha256
from gift_jax.teachers.teacher import load_weights, save_teacher

RANDOM = ("--method", "random", "--dataset", "digits")
RNG = np.random.default_rng(5)
SOFT = RNG.standard_normal((22, 10), np.float32)


def colour(**changes):
    images = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
    labels = np.repeat(np.arange(10, dtype=np.int32), 2)
    fields = {"images": images, "labels": labels, "soft_labels": None, "pixel_space": "raw"}
    return DistilledSet(**{**fields, "dataset": "cifar10", "method": "mine", "ipc": 2, **changes})


FLOATS = RNG.standard_normal((20, 8, 8, 3), np.float32)
SETS = {
    "grey": distilled_set(provenance={"source": "a | b\nc"}),
    "colour": colour(),
    "soft labels": distilled_set(soft_labels=SOFT),
    "normalised": colour(images=FLOATS, pixel_space="normalised", normalisation=Normalisation((0.5,) * 3, (0.2,) * 3)),
    "whitened": colour(images=FLOATS, pixel_space="zca", soft_labels=SOFT[:20]),
    "raw floats": colour(images=np.abs(np.sin(FLOATS))),
    "some classes": colour(labels=np.repeat(np.arange(2, dtype=np.int32), 10), classes=(3, 7), ipc=10),
    "names": dataclasses.replace(
        distilled_set(20), images=RNG.integers(0, 256, (20, 28, 28, 1), np.uint8), dataset="fashion-mnist"
    ),
}


@pytest.fixture
def pushed(done, tmp_path):
    """Push a set or a teacher; returns the directory and what was said."""

    def run(source, *options):
        if isinstance(source, DistilledSet):
            save_distilled(tmp_path / "source.safetensors", source)
            source = tmp_path / "source.safetensors"
        out = done("push", source, "--out", tmp_path / "repository", *options)
        return tmp_path / "repository", out

    return run


@pytest.mark.parametrize("name", SETS)
def test_a_set_comes_back_as_it_was(name, pushed, done, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS", 7)
    monkeypatch.setattr(shards, "LARGEST_SHARD", SETS[name].images.nbytes // 2 + 1)
    directory, out = pushed(SETS[name], "--repo", "me/set")
    assert f"hf upload me/set {directory} . --repo-type dataset" in out
    assert len(list((directory / "data").iterdir())) == 2
    options = ("--method", SETS[name].method, "--dataset", SETS[name].dataset)
    done("distilled", directory, *options, "--out", tmp_path / "back.safetensors")
    back, source = to_parts(gift_jax.load_distilled(tmp_path / "back.safetensors")), to_parts(SETS[name])
    assert back.metadata == source.metadata  # the digest too
    assert back.arrays.keys() == source.arrays.keys()
    for array in source.arrays:
        np.testing.assert_array_equal(back.arrays[array], source.arrays[array], strict=True)


def test_what_others_read_of_bytes(pushed):
    """The columns as Hugging Face's `datasets` takes them: pictures that are the pixels, and class names."""
    distilled = SETS["names"]
    directory, _ = pushed(dataclasses.replace(distilled, soft_labels=SOFT[:20]))
    [path] = (directory / "data").iterdir()
    table = pq.read_table(path)
    assert table.schema.names == ["image", "label", "soft_labels"]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"][9] == "Ankle boot"
    images = [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in table["image"].to_pylist()]
    np.testing.assert_array_equal(images, distilled.images[..., 0])
    np.testing.assert_array_equal(table["soft_labels"].to_pylist(), SOFT[:20])
    np.testing.assert_array_equal(table["label"].to_numpy(), distilled.labels)


def test_of_floats_nobody_takes_the_preview_for_the_pixels(pushed):
    distilled = SETS["normalised"]
    directory, _ = pushed(distilled)
    [path] = (directory / "data").iterdir()
    table = pq.read_table(path)
    assert table.schema.names == ["preview", "label", "pixels"]
    np.testing.assert_array_equal(np.array(table["pixels"].to_pylist(), "f"), distilled.images.reshape(20, -1))
    looks = np.stack([Image.open(io.BytesIO(row["bytes"])) for row in table["preview"].to_pylist()])
    expected = 255 * np.clip(distilled.images * np.float32(0.2) + np.float32(0.5), 0, 1)
    np.testing.assert_allclose(looks, expected, atol=0.51)


def test_a_part_of_a_pushed_set(pushed, done, refused, tmp_path):
    distilled = SETS["colour"]
    directory, _ = pushed(distilled)
    options = ("--method", "mine", "--dataset", "cifar10")
    done("distilled", directory, *options, "--ipc", 1, "--out", tmp_path / "one.safetensors")
    one = gift_jax.load_distilled(tmp_path / "one.safetensors")
    np.testing.assert_array_equal(one.images, distilled.images[::2])
    assert one.provenance["subset"] == "the first 1 of each class: 10 of 20 images"
    for given, message in (
        (("--method", "rded", "--dataset", "cifar10"), "is the mine set of cifar10, not rded's of cifar10; give"),
        ((*options, "--ipc", "3"), "has 2 images per class, but --ipc is 3; lower it"),
        ((*options, "--pixel-space", "zca"), "says everything of itself; drop --pixel-space"),
        ((*options, "--first-label", "1"), "says everything of itself; drop --first-label"),
    ):
        refused("distilled", directory, *given, message=message)


def test_a_set_is_read_by_its_name_on_the_hub(pushed, done, tmp_path, monkeypatch):
    """A mirror that is not ours: the provenance names the commit, wherever the cache lies."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    directory, _ = pushed(SETS["colour"])
    snapshot = tmp_path / "datasets--me--set" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    [path] = (directory / "data").iterdir()
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "blob")
    (snapshot / "train-00000-of-00001.parquet").symlink_to(tmp_path / "blob")
    monkeypatch.setattr(hub, "download", lambda repo, kind, revision, files: snapshot)
    options = ("--method", "rded", "--dataset", "cifar10", "--out", tmp_path / "back.safetensors")
    out = done("distilled", "hf://me/set@main", *options)
    assert out.startswith("download  hf://me/set@main\n")
    back = gift_jax.load_distilled(tmp_path / "back.safetensors")
    assert back.provenance["source"] == f"hf://datasets/me/set@{commit}"
    np.testing.assert_array_equal(back.images, SETS["colour"].images)


def test_what_is_not_whole_is_refused(pushed, convert, refused, monkeypatch):
    monkeypatch.setattr(shards, "LARGEST_SHARD", SETS["colour"].images.nbytes // 2 + 1)
    directory, _ = pushed(SETS["colour"])
    options = ("--method", "mine", "--dataset", "cifar10")
    first, second = sorted((directory / "data").iterdir())
    first.rename(directory / "aside")
    status, _, err = convert("distilled", directory, *options, "--out", directory / "x")
    assert status == 2
    assert f"error: {directory}: its content does not fit the digest" in err
    table = pq.read_table(directory / "aside")
    for others, message in (
        (table.drop_columns("label"), "holds shards of several sets"),
        (table.replace_schema_metadata(None), "holds shards of several sets"),
    ):
        pq.write_table(others, first)
        refused("distilled", directory, *options, message=message)
    second.unlink()
    metadata = {b"gift_jax": b'{"ipc": "2", "method": "mine", "dataset": "cifar10"}'}
    pq.write_table(table.replace_schema_metadata(metadata), first)
    message = "its shards are not as they were written (it has no 'image_shape'); download it again"
    refused("distilled", directory, *options, message=message)


CONV = spec("instance", size=32)


@pytest.fixture
def teacher(done, tmp_path):
    """A small teacher whose weights do not tell its norm, with its own statistics and preprocessing."""
    torch.save({"model": official(CONV).state_dict()}, tmp_path / "w.pth")
    values = ("--mean", "0.1", "0.2", "0.3", "--std", "0.5", "0.5", "0.6")
    arguments = ("--dataset", "cifar10", "--model", "conv2", "--norm", "instance", *values)
    done("teacher", tmp_path / "w.pth", *arguments, "--out", tmp_path / "teacher")
    return tmp_path / "teacher"


@pytest.mark.parametrize("own", [None, Preprocessing(0.95, "bicubic")])
def test_a_teacher_comes_back_as_it_was(own, teacher, pushed, done, tmp_path, monkeypatch):
    info, *variables = load_weights(teacher)
    assert info.normalisation == Normalisation((0.1, 0.2, 0.3), (0.5, 0.5, 0.6))
    info = dataclasses.replace(info, preprocessing=own, ema=True)
    save_teacher(tmp_path / "own", info, *variables)
    directory, out = pushed(tmp_path / "own", "--repo", "me/teacher", "--license", "mit")
    assert f"hf upload me/teacher {directory} . --repo-type model" in out
    weights, source = safetensors.torch.load_file(directory / "model.safetensors"), official(CONV).state_dict()
    assert weights.keys() == source.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in source.items())
    monkeypatch.setattr(hub, "download", lambda repo, kind, revision, files: directory)
    done("teacher", "hf://me/teacher", "--out", tmp_path / "back")
    back, *found = load_weights(tmp_path / "back")
    changed = ("source_file", "source_sha256", "verification")
    assert dataclasses.replace(back, **{name: getattr(info, name) for name in changed}) == info
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(variables), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("kind", "name"), [("DatasetCard", "set"), ("ModelCard", "teacher")])
def test_the_hub_reads_the_card(kind, name, teacher, pushed):
    package = pytest.importorskip("huggingface_hub")
    source = SETS["grey"] if name == "set" else teacher
    directory, _ = pushed(source, "--repo", f"me/{name}", "--license", "cc-by-4.0")
    card = getattr(package, kind).load(directory / "README.md")
    assert card.data.license == "cc-by-4.0"
    text = card.text
    if name == "set":
        digest = to_parts(source).digest
        assert card.data.configs == [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
        ]
        assert "hf://me/set --method random --dataset digits" in text
        assert "a \\| b c" in text
    else:
        digest = sha256(directory / "model.safetensors")
        assert card.data.pipeline_tag == "image-classification"
        assert "python -m convert teacher hf://me/teacher" in text
    assert digest in text


def test_what_cannot_be_pushed(refused, tmp_path, convert):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "set.txt").touch()
    refused("push", tmp_path / "x", message="is no teacher (teacher.json is missing)")
    refused("push", tmp_path / "x" / "set.txt", message="not a readable distilled set", names="set.txt")
    refused("push", tmp_path / "x", "--repo", "me", message="--repo is 'me', expected OWNER/NAME", names="me")
    refused("push", tmp_path / "x", "--license", "all rights", message="expected one of the Hub's words", names="all")
    status, _, err = convert("push", tmp_path / "x", "--out", tmp_path / "x")
    assert (status, err.count("\n")) == (2, 1)
    assert "exists, and is not replaced" in err
