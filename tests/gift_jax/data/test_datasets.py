"""Datasets as data: described in a file, known by name, carried by teachers and sets to where the file is not."""

import dataclasses
import json

import numpy as np
import pytest
from setups import INFO, make_variables

from gift_jax import DistilledSet, load_distilled, load_teacher, save_distilled, save_teacher
from gift_jax.data import datasets
from gift_jax.data.datasets import DATASETS, DatasetSpec, Normalisation, get_dataset, write_dataset
from gift_jax.errors import GiftError

FLOWERS = DatasetSpec(
    "flowers", 3, 8, Normalisation((0.4,), (0.2,)), "here", channels=1, mirrors=False, resize=(1, 1),
    class_names=("Rose", "蓮", "Ñandú"), train="/somewhere",
)  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "_embedded", {})


@pytest.fixture
def path(tmp_path):
    """Of the description of `FLOWERS`."""
    write_dataset(tmp_path / "data" / "flowers" / "dataset.json", FLOWERS)
    return tmp_path / "data" / "flowers" / "dataset.json"


def test_a_description_is_read_as_it_was_written(path):
    assert get_dataset("flowers") == FLOWERS
    assert get_dataset(FLOWERS) is FLOWERS
    assert datasets.resolve_dataset_name(str(path)) == "flowers"
    path.write_text(json.dumps({**json.loads(path.read_text()), "test": "/b"}))  # places may be changed by hand
    assert get_dataset("flowers").test == "/b"


def test_an_unknown_name_says_how_to_describe_one():
    with pytest.raises(GiftError, match=r"'flowers' is unknown; choose one of digits, .*add_dataset NAME"):
        get_dataset("flowers")


@pytest.fixture
def stored(path, tmp_path):
    """Of a set of flowers, whose description is gone."""
    images, labels = np.zeros((3, 8, 8, 1), np.uint8), np.arange(3, dtype=np.int32)
    save_distilled(tmp_path / "set.safetensors", DistilledSet(images, labels, None, "raw", "flowers", "rded", 1))
    path.unlink()
    return tmp_path / "set.safetensors"


def test_a_set_knows_its_dataset_on_another_machine(stored):
    assert load_distilled(stored).num_classes == 3
    assert get_dataset("flowers") == dataclasses.replace(FLOWERS, train=None, home="")


def test_a_teacher_knows_its_dataset_on_another_machine(tmp_path):
    path = tmp_path / "data" / "digits10" / "dataset.json"
    write_dataset(path, dataclasses.replace(DATASETS["digits"], name="digits10"))
    save_teacher(tmp_path / "teacher", dataclasses.replace(INFO, dataset="digits10"), *make_variables())
    path.unlink()
    load_teacher(tmp_path / "teacher")
    assert get_dataset("digits10").num_classes == 10


def test_two_datasets_of_one_name_are_refused(path, stored):
    write_dataset(path, dataclasses.replace(FLOWERS, class_names=("Rose", "Tulip", "Aster")))
    with pytest.raises(GiftError, match="is of another dataset than the flowers here"):
        load_distilled(stored)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": "three"}, "fields are missing or of the wrong kind"),
        ({"num_classes": 1, "class_names": ["one"]}, "needs two classes"),
        ({"surprise": 1}, "fields are missing or of the wrong kind"),
        ({"channels": 2}, "1 or 3 channels"),
        ({"class_names": ["Rose"]}, "class names do not fit"),
        ({"name": "../flowers"}, "must be letters"),
        ({"normalisation": {"mean": [0.5], "std": [0.0]}}, "above zero"),
        ({"mirrors": True}, "does not fit the digest"),
    ],
)
def test_a_damaged_description_is_one_sentence(change, message, path):
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(GiftError, match=f"{path}: .*{message}"):
        get_dataset("flowers")


def test_what_is_in_the_table_may_be_placed_but_not_changed(tmp_path):
    path = tmp_path / "data" / "mnist" / "dataset.json"
    write_dataset(path, dataclasses.replace(DATASETS["mnist"], train="/somewhere"))
    assert get_dataset("mnist").train == "/somewhere"
    path.unlink()
    write_dataset(path, dataclasses.replace(DATASETS["mnist"], num_classes=9))
    with pytest.raises(GiftError, match="contradicts what mnist is known to be"):
        get_dataset("mnist")


@pytest.mark.usefixtures("path")
def test_a_name_in_another_case_is_the_same_dataset():
    assert get_dataset("CIFAR10") is DATASETS["cifar10"]
    assert datasets.resolve_dataset_name("ImageNet-1K") == "imagenet-1k"
    assert datasets.resolve_dataset_name("Flowers") == "flowers"
    assert get_dataset("FLOWERS") == FLOWERS


def test_a_description_without_held_out_images_is_as_it_was_before_there_were_any():
    """Its digest, and names of caches that its `repr` decides, stay."""
    assert "hold_out" not in json.dumps(datasets.describe_dataset(FLOWERS)) + repr(FLOWERS)
