"""RDED from class folders or the digits: streamed class by class, resumed, never replacing a set."""

import functools

import numpy as np
import pytest
from folders import write_tree
from setups import random_teacher

from experiments import distill_rded
from gift_jax import load_distilled, rded
from gift_jax.data.digits import load_split


@pytest.fixture
def teacher(save_random_teacher, tmp_path):
    save_random_teacher(tmp_path / "teacher")
    return tmp_path / "teacher"


@pytest.fixture
def distill(command):
    return functools.partial(command, distill_rded)


def stop_once_at_4(monkeypatch):
    """Interrupt the making of class 4 the first time; returns the classes that were made, and where that was."""
    made, original = [], rded.synthesize_class

    def stopping(images, label, *rest, **options):
        if label == 4 and "stopped" not in made:
            made.append("stopped")
            raise KeyboardInterrupt
        made.append(label)
        return original(images, label, *rest, **options)

    monkeypatch.setattr(rded, "synthesize_class", stopping)
    return made


def test_the_set_is_the_librarys(succeed, teacher, tmp_path):
    options = ("--teacher", teacher, "--ipc", 2, "--factor", 2, "--out", tmp_path / "s.safetensors")
    assert "20 images from 1195 real ones" in succeed(distill_rded, *options)
    split, found = load_split(), load_distilled(tmp_path / "s.safetensors")
    settings = rded.RDED(factor=2)
    expected = rded.synthesize(split.train_images, split.train_labels, random_teacher(), ipc=2, settings=settings)
    np.testing.assert_array_equal(found.images, expected.images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.safetensors", "teacher"]


@pytest.mark.parametrize(("name", "goes_on"), [("t0", True), ("t1", False)])
def test_a_run_that_stopped_goes_on_under_its_own_teacher(
    name, goes_on, distill, save_random_teacher, tmp_path, monkeypatch
):
    """Two teachers that were trained here: nothing but their weights tells them apart."""
    for seed in (0, 1):
        save_random_teacher(tmp_path / f"t{seed}", seed, source_sha256="")
    options, out = ("--ipc", 1, "--images-per-class", 20, "--out"), tmp_path / "set.safetensors"
    assert distill("--teacher", tmp_path / name, *options, tmp_path / "whole.safetensors")[0] == 0
    made = stop_once_at_4(monkeypatch)
    assert distill("--teacher", tmp_path / "t0", *options, out)[0] == 130
    assert not out.exists()
    status, told, _ = distill("--teacher", tmp_path / name, *options, out)
    assert (status, "going on: 4 of 10 classes" in told) == (0, goes_on)
    assert made == [0, 1, 2, 3, "stopped", *range(4 if goes_on else 0, 10)]
    found, whole = (load_distilled(path) for path in (out, tmp_path / "whole.safetensors"))
    np.testing.assert_array_equal(found.images, whole.images)
    assert len(found.provenance["teacher_sha256"]) == 64


def test_the_same_command_again_is_done_and_another_one_replaces_nothing(succeed, refuse, teacher, tmp_path):
    arguments = ("--teacher", teacher, "--ipc", 1, "--images-per-class", 20, "--out", tmp_path / "s.safetensors")
    succeed(distill_rded, *arguments)
    before = (tmp_path / "s.safetensors").stat().st_mtime_ns
    assert "exists  " in succeed(distill_rded, *arguments, "--dataset", "digits")
    assert "is not replaced" in refuse(distill_rded, *arguments, "--seed", 1)
    assert (tmp_path / "s.safetensors").stat().st_mtime_ns == before
    assert "is a teacher of digits, not of cifar10" in refuse(distill_rded, *arguments, "--dataset", "cifar10")
    (tmp_path / "s.safetensors").write_text("precious")
    assert "holds something else, and is not replaced" in refuse(distill_rded, *arguments)
    assert (tmp_path / "s.safetensors").read_text() == "precious"


def test_two_processes_do_not_make_one_set(distill, teacher, tmp_path, monkeypatch):
    """The second is told, and the first goes on undisturbed."""
    arguments = ("--teacher", teacher, "--ipc", 1, "--images-per-class", 10, "--out", tmp_path / "set.safetensors")
    original, told = rded.synthesize_class, []

    def meanwhile(*parts, **options):
        if not told:
            told.append(None)
            told[:] = distill(*arguments)
        return original(*parts, **options)

    monkeypatch.setattr(rded, "synthesize_class", meanwhile)
    assert distill(*arguments)[0] == 0
    assert "set.safetensors: another process is making a set here" in told[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.safetensors", "teacher"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--factor", 9), "--factor must be at most 8"),
        (("--class-order", "order.txt"), "the digits come with scikit-learn"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(options, message, refuse, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "order.txt").touch()
    assert message in refuse(distill_rded, "--teacher", teacher, *options, "--out", tmp_path / "s.safetensors")


def test_class_folders_are_streamed(succeed, refuse, save_random_teacher, tmp_path):
    root = write_tree(tmp_path / "train", [f"{label:05d}" for label in range(10)], per_class=3)
    save_random_teacher(tmp_path / "teacher", dataset="cifar10")
    arguments = (distill_rded, "--teacher", tmp_path / "teacher", "--data", root)
    succeed(*arguments, "--out", tmp_path / "s.safetensors", "--ipc", 2)
    assert load_distilled(tmp_path / "s.safetensors").images.shape == (20, 32, 32, 3)
    sentence = refuse(*arguments, "--out", tmp_path / "t.safetensors", "--ipc", 4)
    assert "class 0 has 3 usable images, but ipc 4 with factor 1 needs 4" in sentence
