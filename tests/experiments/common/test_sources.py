"""Sets and teachers by their names on the Hub: downloaded, and converted once as other sources are."""

import dataclasses
import os
import re
from pathlib import Path
from unittest import mock

import pytest
from setups import distilled_set

from experiments.common import sources
from gift_jax import GiftError, load_teacher, save_distilled
from gift_jax.data.datasets import get_dataset
from gift_jax.data.transforms import Preprocessing

OWN = Preprocessing(0.6, "nearest")


@pytest.fixture
def converted(save_random_teacher, tmp_path):
    """A teacher and a set, by the command that made them."""
    save_random_teacher(tmp_path / "t", preprocessing=OWN)
    save_distilled(tmp_path / "set.safetensors", distilled_set(20))
    return {"teacher": tmp_path / "t", "distilled": tmp_path / "set.safetensors"}


def test_a_repository_of_the_hub_is_converted_once(converted, monkeypatch, tmp_path):
    """A teacher with the dataset that is said, or with what its config.json tells."""
    convert_once = mock.Mock(side_effect=lambda command, *_: converted[command])
    (repository := tmp_path / "repository").mkdir()
    (repository / "config.json").touch()
    monkeypatch.setattr(sources, "convert_once", convert_once)
    monkeypatch.setattr(sources.hub, "download", lambda *_: repository)
    for dataset, options in (("digits", ("--dataset", "digits")), (None, ())):
        assert sources.teacher_directory(Path("hf://me/t"), dataset) == converted["teacher"]
        convert_once.assert_called_with("teacher", repository, options, "repository")
    assert sources.find_teacher(Path("hf://me/t"), "digits", "conv2").info.preprocessing == OWN
    convert_once.assert_called_with("teacher", repository, ("--dataset", "digits", "--model", "conv2"), "digits_conv2")
    assert len(sources.find_distilled(Path("hf://me/s"), "random", "digits", "conv2", 2).labels) == 20
    options = ("--method", "random", "--dataset", "digits", "--ipc", "2")
    convert_once.assert_called_with("distilled", repository, options, "set.safetensors")
    assert sources.teacher_directory(converted["teacher"]) == converted["teacher"]
    assert convert_once.call_count == 4


@pytest.fixture
def empty_conversion(monkeypatch):
    """Whatever is converted is an empty directory."""
    monkeypatch.setattr(sources, "run_convert", lambda *arguments: Path(arguments[-1]).mkdir(parents=True))


@pytest.mark.usefixtures("empty_conversion")
def test_a_source_that_was_replaced_by_one_of_its_size_and_time_is_converted_again(tmp_path):
    (path := tmp_path / "set.pt").write_bytes(b"one")
    found = [sources.convert_once("distilled", path, (), "set") for _ in range(2)]
    state = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert found[0] == found[1] != sources.convert_once("distilled", path, (), "set")


@pytest.mark.usefixtures("empty_conversion")
def test_a_dataset_that_is_described_anew_has_its_teacher_converted_anew(tmp_path, monkeypatch):
    """The normalisation of a teacher is that of its dataset."""
    (path := tmp_path / "teacher.pth").touch()
    described, found = get_dataset("digits"), []
    for mirrors in (True, True, False):
        monkeypatch.setattr(sources, "get_dataset", lambda _, m=mirrors: dataclasses.replace(described, mirrors=m))
        found.append(sources.convert_once("teacher", path, ("--dataset", "mine"), "t"))
    assert found[0] == found[1] != found[2]


def test_a_set_given_as_a_teacher_and_a_teacher_given_as_a_set_are_told(converted):
    path = converted["distilled"]
    with pytest.raises(GiftError, match=r"set\.safetensors: is a distilled set; give it as `distilled`"):
        sources.find_teacher(path, "digits", "conv2")
    with pytest.raises(GiftError, match=r"set\.safetensors: is a distilled set, no teacher"):
        load_teacher(sources.teacher_directory(path))
    with pytest.raises(GiftError, match="t: is a teacher; give it as `teacher`"):
        sources.find_distilled(converted["teacher"], "random", "digits", "conv2", 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "shapes", "method": "rded"}, "is a set of digits, but `dataset` is shapes; give digits, or"),
        ({"method": "rded", "ipc": 20}, "is a set of the method random, not rded; give that method, or"),
        ({"ipc": 20}, "holds 2 images per class, but `ipc` is 20; give `ipc` 2, or"),
    ],
)
def test_a_set_that_does_not_fit_the_options_is_refused_by_the_first_of_them(changes, message, converted):
    wanted = {"method": "random", "dataset": "digits", "model": "conv2", "ipc": 2, **changes}
    with pytest.raises(GiftError, match=re.escape(message)):
        sources.find_distilled(converted["distilled"], **wanted)


def test_what_is_missing_of_a_dataset_of_ones_own_is_made_not_converted(tmp_path):
    with pytest.raises(GiftError, match=r"experiments\.train_teacher --dataset shapes --model conv3 --out teachers/"):
        sources.find_teacher(tmp_path, "shapes", "conv3")
    with pytest.raises(GiftError, match=r"give `distilled`, or run `python -m experiments\.distill_rded"):
        sources.find_distilled(tmp_path / "none", "rded", "shapes", "conv3", 10)
