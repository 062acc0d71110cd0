"""The check of teachers, on the digits: right ones pass, permuted classes and swapped statistics are explained."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image
from setups import BATCH_SPEC, INFO, settled

from experiments import teacher_check
from gift_jax import load_teacher, save_teacher
from gift_jax.data.datasets import CIFAR_NORMALISATION, DIGITS_NORMALISATION, get_dataset
from gift_jax.data.digits import load_split
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import load_digits_test
from gift_jax.data.pixels import to_input
from gift_jax.data.transforms import Preprocessing, make_transform
from gift_jax.evaluate import Accuracy
from gift_jax.models import ModelSpec, get_model
from gift_jax.optim import Optimizer
from gift_jax.readers.classes import read_class_order
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import train
from gift_jax.teachers.diagnose import KNOWN, Finding

SPEC = ModelSpec("conv2", 10, 8, 1, (("norm", "none"), ("width", 16)))
ORDER = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])


@pytest.fixture(scope="module")
def weights():
    """A student of the real training digits, seen as pixels in [-1, 1]: (params, batch_stats)."""
    split = load_split()
    digits = DistilledSet(split.train_images, split.train_labels, None, "raw", "digits", "real", 100)
    recipe = Recipe(
        loss="ce", epochs=40, augment="none", evaluations=1, optimizer=Optimizer("adam", 5e-3, 0.0),
        normalisation=KNOWN["half, grey"],
    )  # fmt: skip
    [run] = train(recipe, get_model(SPEC), digits, None, load_digits_test())
    assert run.top1_last > 90
    return run.state.params, run.state.batch_stats


@pytest.fixture
def check(weights, tmp_path, command):
    """Save a teacher and check it from the command line. Returns (exit status, standard output, standard error)."""

    def run(*arguments, normalisation=KNOWN["half, grey"], order=None):
        params, stats = weights
        if order is not None:
            classifier = {name: array[..., order] for name, array in params["classifier"].items()}
            params = {**params, "classifier": classifier}
        info = dataclasses.replace(INFO, options=dict(SPEC.options), normalisation=normalisation)
        save_teacher(tmp_path / "teacher", info, params, stats)
        return command(teacher_check, tmp_path / "teacher", *arguments)

    return run


def test_a_right_teacher_passes(check):
    status, out, _ = check("--expected", 90)
    assert status == 0
    assert "as expected" in out


def test_permuted_classes_are_written(check, tmp_path):
    path = tmp_path / "order.txt"
    status, out, err = check("--expected", 90, "--write-class-order", path, order=ORDER)
    assert (status, err.count("\n")) == (2, 1)
    assert "top-1, classes" in out
    assert read_class_order(path, 10) == tuple(map(str, ORDER))
    path.write_text("an order that somebody wrote by hand\n")
    assert "order.txt: holds something else" in check("--expected", 90, "--write-class-order", path, order=ORDER)[2]
    assert path.read_text().startswith("an order")


NONE = KNOWN["none, grey"]


@pytest.mark.parametrize(
    ("options", "changes", "messages"),
    [
        ((), {"order": ORDER}, ["its classes are in another order"]),
        ((), {"normalisation": NONE}, ["normalised otherwise, as half, grey", "--mean 0.5 --std 0.5"]),
        ((), {"normalisation": NONE, "order": ORDER}, ["another order and its pixels are normalised as half, grey"]),
        (("--expected", 100, "--margin", 0.01), {}, ["no other known normalisation or order"]),
    ],
    ids=["order", "normalisation", "both", "nothing"],
)
def test_what_explains_the_figure_is_said(check, options, changes, messages):
    status, _, err = check("--expected", 90, *options, **changes)
    assert status == 2
    assert all(message in err for message in messages)


def test_without_a_figure_the_diagnosis_is_printed(check):
    status, out, _ = check(normalisation=DIGITS_NORMALISATION, order=ORDER)
    assert status == 0
    assert "nothing to compare with" in out
    assert "--write-class-order FILE" in out


def test_a_right_teacher_without_a_figure_is_not_said_to_lack_an_explanation(check):
    status, out, _ = check()
    assert status == 0
    assert out.splitlines()[-1] == "its normalisation and the order of its classes fit best as they are"


def test_normalisations_that_accuracy_does_not_tell_apart_are_named(check):
    status, out, _ = check("--margin", 50)
    assert status == 0
    last = "they are; accuracy does not tell its normalisation from digits, nor does its first layer"
    assert last in out.splitlines()[-1]


def finding(name, top1):
    return Finding(name, KNOWN[name], Accuracy(top1, 99.0), top1, np.arange(10))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, teacher_check.NOTHING),
        ("cifar (GIFT, SRe2L)", teacher_check.NOTHING),
        (
            "imagenet (torchvision, RDED)",
            "as imagenet (torchvision, RDED): 83.2 %; convert it with --mean 0.485 0.456 0.406",
        ),
        ("none", "as none: 10.0 %; convert it with --mean 0.0 0.0 0.0"),
    ],
)
def test_what_the_first_layer_tells_counts_more_than_accuracy(told, reason):
    """The figures are those of a ResNet-56 that was trained with ImageNet's statistics."""
    tops = {"cifar (GIFT, SRe2L)": 83.32, "imagenet (torchvision, RDED)": 83.2, "none": 10.0}
    found = teacher_check.explain([finding(*pair) for pair in tops.items()], 3.0, told and KNOWN[told])
    assert reason in found.reason
    assert not found.reorders


def test_what_the_first_layer_tells_is_said(command, tmp_path):
    params, stats = settled(KNOWN["mnist"])
    said = {
        "mnist": "its own normalisation gives them (0.00",
        "digits": "mnist gives them (0.00",
        "none": "no known normalisation gives them; its own is nearest",
    }
    for name, sentence in said.items():
        normalisation = KNOWN["mnist" if name == "none" else name]
        info = dataclasses.replace(INFO, options=dict(BATCH_SPEC.options), normalisation=normalisation)
        if name == "none":
            stats = jax.tree.map(lambda leaf: 3 * leaf, stats)
        save_teacher(tmp_path / name, info, params, stats)
        status, out, err = command(teacher_check, tmp_path / name, "--expected", 0)
        assert status == 0, err
        assert f"statistics of its first BatchNorm: {sentence}" in out
        assert ("convert it with --mean 0.1307 --std 0.3081" in out) == (name == "digits")


OWN = Preprocessing(0.6, "nearest")


def write_pictures(root):
    """Two pictures a class, larger than the dataset's images; returns their paths in the order of the classes."""
    rng = np.random.default_rng(0)
    paths = [root / f"{label:05d}" / f"{number}.png" for label in range(10) for number in range(2)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 70, 3), np.uint8)).save(path)
    return paths


@pytest.fixture
def cifar_teacher(tmp_path):
    spec = ModelSpec("conv2", 10, 32, 3, (("width", 4),))
    sizes = {"dataset": "cifar10", "image_size": 32, "channels": 3, "options": dict(spec.options)}
    info = dataclasses.replace(INFO, **sizes, normalisation=CIFAR_NORMALISATION, preprocessing=OWN)
    save_teacher(tmp_path / "t", info, *get_model(spec).init(jax.random.key(0)))
    return tmp_path / "t"


def test_images_are_made_as_the_teachers_own(cifar_teacher, command, tmp_path, monkeypatch):
    """By CIFAR's usual transform, which takes 32 pixels only, these would be refused."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = write_pictures(tmp_path / "val")
    teacher, transform = load_teacher(cifar_teacher), make_transform(get_dataset("cifar10"), 32, OWN)
    images = np.stack([transform(path.read_bytes(), path.name) for path in paths])
    found = np.argmax(teacher.logits(to_input(images, "raw", CIFAR_NORMALISATION)), 1)
    top1 = 100 * np.mean(found == np.arange(20) // 2)
    status, out, err = command(teacher_check, cifar_teacher, "--data", tmp_path / "val")
    assert status == 0, err
    assert "test images as the teacher's own: crop_pct 0.6, nearest" in out
    assert f"top-1 {top1:.2f} %" in out
