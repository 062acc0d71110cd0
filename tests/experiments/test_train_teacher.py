"""A teacher from scratch: trained, written like a converted one, loaded, and given to PyTorch."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tyro
from folders import write_tree

from convert.export import compare, export
from experiments import train_teacher
from experiments.common import teacher_training
from gift_jax import load_teacher
from gift_jax.data.evaluation import load_digits_test
from gift_jax.data.network_input import to_input
from gift_jax.runtime.options import make_command
from gift_jax.studies.results import read_results
from gift_jax.task import Task

ROOT = Path(__file__).parents[2]


SMALL = ("--dataset", "digits", "--model", "conv1", "--model-options", "width=2", "--batch-size", 400)


def test_a_teacher_of_the_digits_is_trained_loaded_and_exported(succeed, tmp_path, capfd):
    out = tmp_path / "teacher"
    options = ("--epochs", 6, "--batch-size", 64, "--learning-rate", 0.05, "--schedule", "cosine")
    printed = succeed(train_teacher, "--dataset", "digits", "--model", "conv2", *options, "--out", out)
    [row] = read_results(out / "results.jsonl")
    assert row["top1_last"] > 85
    assert f"top-1 {row['top1_last']:.2f} % on 602 test images" in printed
    assert "none mirrored" in printed
    teacher, digits = load_teacher(out), load_digits_test()
    assert teacher.info.verification is None
    images = np.asarray(to_input(digits.images, "raw", teacher.info.normalisation))
    logits = np.asarray(teacher.logits(images))
    assert 100 * (logits.argmax(1) == digits.labels).mean() == pytest.approx(row["top1_last"])
    assert compare(out, export(out, tmp_path / "t.pth"), "digits") == 0
    assert "compared  on 602 test images with PyTorch: equal predictions on all of them" in capfd.readouterr().out


def test_of_a_training_that_diverged_nothing_stays(refuse, tmp_path):
    options = ("--learning-rate", 1e30, "--save-minutes", 0, "--out", tmp_path / "new" / "teacher")
    assert "lower the learning rate" in refuse(train_teacher, *SMALL, *options)
    assert [*tmp_path.iterdir()] == []


def test_a_teacher_is_never_replaced_by_another(succeed, refuse, tmp_path):
    out = tmp_path / "teacher"
    succeed(train_teacher, *SMALL, "--epochs", 1, "--out", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert f"exists    {out}" in succeed(train_teacher, *SMALL, "--epochs", 1, "--out", out)
    for options in (("--epochs", 2), ("--epochs", 1, "--seed", 1)):
        sentence = refuse(train_teacher, *SMALL, *options, "--out", out)
        assert f"{out}: holds something else, and is not replaced" in sentence
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert load_teacher(out).info.source_sha256  # by which rows and sets name it


def test_two_processes_do_not_train_into_one_directory(succeed, refuse, tmp_path, monkeypatch):
    """The second, of another seed, is told before it trains; if the first one's is there all the same, it stays."""
    arguments, told, original = (train_teacher, *SMALL, "--epochs", 1, "--out", tmp_path / "t"), [], Task.train

    def meanwhile(*parts, **given):
        if not told:
            told.append("")
            told[0] = refuse(*arguments, "--seed", 1)
        return original(*parts, **given)

    monkeypatch.setattr(Task, "train", meanwhile)
    succeed(*arguments)
    assert "t: another process is training a teacher here" in told[0]
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "cifar10"), "missing (https://www.cs.toronto.edu/~kriz/cifar.html); give --test-data DIRECTORY"),
        (("--epochs", 0), "epochs must be 1 or more"),
        (("--save-minutes", -1), "minutes must be 0 or more, not -1"),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, refuse, tmp_path):
    assert message in refuse(train_teacher, *SMALL, *arguments, "--out", tmp_path / "out" / "t")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("count", "epochs", "batch", "rate"),
    [(60, 500, 16, 0.0125), (360, 90, 16, 0.0125), (2600, 90, 64, 0.05), (50_000, 90, 128, 0.1)],
)
def test_defaults_go_with_the_number_of_images(count, epochs, batch, rate):
    config = teacher_training.TrainTeacher("digits", "conv2", Path("t"))
    recipe = teacher_training.make_recipe(config, count)
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer.learning_rate) == (epochs, batch, pytest.approx(rate))
    given = dataclasses.replace(config, epochs=3, batch_size=128, learning_rate=0.3)
    recipe = teacher_training.make_recipe(given, count)
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer.learning_rate) == (3, 128, 0.3)


def test_the_teacher_of_the_cifar_study_has_the_default_recipe():
    arguments = ["--dataset", "cifar10", "--model", "conv3", "--out", "t"]
    command = make_command(teacher_training.TrainTeacher, arguments=arguments)
    config = command.call(tyro.cli(command.form, args=arguments))
    [row] = read_results(ROOT / "docs" / "results" / "cifar10" / "teacher" / "results.jsonl")
    found = dataclasses.asdict(teacher_training.make_recipe(config, 50_000))
    assert json.loads(json.dumps({**found, "evaluations": row["recipe"]["evaluations"]})) == row["recipe"]


def test_a_weak_teacher_is_said(command, tmp_path):
    options = ("--dataset", "digits", "--model", "conv1", "--epochs", 8, "--batch-size", 64, "--learning-rate")
    status, _, err = command(train_teacher, *options, 1e-5, "--out", tmp_path / "weak")
    assert (status, "this is a weak teacher" in err, "--epochs" in err) == (0, True, True)
    status, _, err = command(train_teacher, *options, 0.05, "--out", tmp_path / "good")
    assert (status, "weak teacher" in err) == (0, False)


@pytest.fixture
def imagenet_10(monkeypatch, tmp_path):
    """Options of a training on images that are decoded on the fly."""
    monkeypatch.setattr(teacher_training, "LARGEST", 1000)
    folders = [f"n{1440764 + 1000 * label:08d}" for label in range(10)]
    splits = (("--data", "train", 5), ("--test-data", "val", 2))
    places = [(option, write_tree(tmp_path / name, folders, count, 96)) for option, name, count in splits]
    options = ("--dataset", "imagenet-10", "--model", "conv2", "--image-size", 64, "--batch-size", 16)
    return (*options, "--learning-rate", 0.02, *itertools.chain(*places))


def read_bits(directory):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(load_teacher(directory).params)]


@pytest.mark.exhaustive
def test_a_set_that_is_not_held_in_memory_is_decoded_on_the_fly(imagenet_10, succeed, tmp_path):
    """Fifty images in batches of 16, so that there is a remainder; the bits do not depend on the number of workers."""
    for workers in (1, 2):
        options = ("--epochs", 2, "--out", tmp_path / f"t{workers}", "--workers", workers)
        printed = succeed(train_teacher, *imagenet_10, *options)
        assert "50 to train on, decoded on the fly" in printed
        assert "on 20 test images" in printed
    assert read_bits(tmp_path / "t1") == read_bits(tmp_path / "t2")
    images = np.random.default_rng(0).normal(size=(3, 64, 64, 3)).astype("f")
    assert load_teacher(tmp_path / "t1").logits(images).shape == (3, 10)
    [row] = read_results(tmp_path / "t1" / "results.jsonl")
    assert row["recipe"]["augment"] == "none"
    assert "TrainingTransform" in row["distilled"]["training images"]
    assert (row["method"], row["ipc"], row["epochs"]) == ("real", 5, 2)


def test_a_damaged_image_stops_training_in_one_sentence(imagenet_10, refuse, tmp_path):
    damaged = min((tmp_path / "train").rglob("*.png"))
    damaged.write_bytes(b"no picture")
    sentence = refuse(train_teacher, *imagenet_10, "--epochs", 1, "--workers", 1, "--out", tmp_path / "t")
    assert f"{damaged}: is no readable image" in sentence
    assert not (tmp_path / "t").exists()


def test_processes_that_decode_leave_the_accelerator_alone():
    """They import this module: JAX must open no device by that, of which there is none here."""
    command = [sys.executable, "-c", "import experiments.train_teacher"]
    subprocess.run(command, env={**os.environ, "JAX_PLATFORMS": "nowhere"}, cwd=ROOT, check=True)
