"""The check of teachers, on the digits: right ones pass, permuted classes and swapped statistics are explained."""

import dataclasses

import jax
import numpy as np
import pytest
from folders import write_tree
from setups import BATCH_SPEC, INFO, PLAIN_SPEC, SEEN, settled, trained_on_digits

from experiments import teacher_check
from gift_jax import load_teacher, save_teacher
from gift_jax.data.datasets import CIFAR_NORMALISATION, DIGITS_NORMALISATION, get_dataset
from gift_jax.data.network_input import to_input
from gift_jax.data.transforms import Preprocessing, make_transform
from gift_jax.evaluate import Accuracy
from gift_jax.readers.classes import read_class_order
from gift_jax.teachers.diagnose import KNOWN, Finding

ORDER = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])


@pytest.fixture
def teacher(tmp_path):
    """Save a teacher. Returns its directory."""

    def save(normalisation=SEEN, order=None):
        params, stats = trained_on_digits()
        if order is not None:
            classifier = {name: array[..., order] for name, array in params["classifier"].items()}
            params = {**params, "classifier": classifier}
        info = dataclasses.replace(INFO, options=dict(PLAIN_SPEC.options), normalisation=normalisation)
        save_teacher(tmp_path / "teacher", info, params, stats)
        return tmp_path / "teacher"

    return save


def test_a_right_teacher_passes(teacher, succeed):
    assert "as expected" in succeed(teacher_check, teacher(), "--expected", 90)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--margin", -5), "--margin must be 0 or more, not -5"),
        (("--expected", 1000), "--expected must be 100 or less, not 1000"),
        (("--dataset", "cifar10"), "was trained on digits, but --dataset is cifar10; drop it"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message, teacher, refuse):
    assert message in refuse(teacher_check, teacher(), *options)


def test_permuted_classes_are_written(teacher, refuse, tmp_path):
    path = tmp_path / "order.txt"
    arguments = (teacher_check, teacher(order=ORDER), "--expected", 90, "--write-class-order", path)
    assert f"that order is in {path}, for --class-order" in refuse(*arguments)
    assert read_class_order(path, 10) == tuple(map(str, ORDER))
    path.write_text("an order that somebody wrote by hand\n")
    assert "order.txt: holds something else" in refuse(*arguments)
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
def test_what_explains_the_figure_is_said(teacher, refuse, options, changes, messages):
    sentence = refuse(teacher_check, teacher(**changes), "--expected", 90, *options)
    assert all(message in sentence for message in messages)


ALIKE = "they are; accuracy does not tell its normalisation from digits, nor does its first layer"


@pytest.mark.parametrize(
    ("options", "changes", "last"),
    [
        ((), {"normalisation": DIGITS_NORMALISATION, "order": ORDER}, "--write-class-order FILE writes that order"),
        ((), {}, "its normalisation and the order of its classes fit best as they are"),
        (("--margin", 50), {}, ALIKE),
    ],
    ids=["another order", "right", "alike"],
)
def test_without_a_figure_the_diagnosis_is_printed(teacher, succeed, options, changes, last):
    out = succeed(teacher_check, teacher(**changes), *options)
    assert "nothing to compare with" in out
    assert last in out.splitlines()[-1]


def finding(name, top1):
    return Finding(name, KNOWN[name], Accuracy(top1, 99.0), top1, np.arange(10))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, teacher_check.NOTHING),
        ("cifar (GIFT, SRe2L)", teacher_check.NOTHING),
        ("imagenet (torchvision, RDED)", "as imagenet (torchvision, RDED): 83.2 %; convert it with --mean 0.485 0.456"),
        ("none", "as none: 10.0 %; convert it with --mean 0.0 0.0 0.0"),
    ],
)
def test_what_the_first_layer_tells_counts_more_than_accuracy(told, reason):
    """The figures are those of a ResNet-56 that was trained with ImageNet's statistics."""
    tops = {"cifar (GIFT, SRe2L)": 83.32, "imagenet (torchvision, RDED)": 83.2, "none": 10.0}
    found = teacher_check.explain([finding(*pair) for pair in tops.items()], 3.0, told and KNOWN[told])
    assert reason in found.reason
    assert found.order_of is None


def test_what_the_first_layer_tells_is_said(succeed, tmp_path):
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
        out = succeed(teacher_check, tmp_path / name, "--expected", 0)
        assert f"statistics of its first BatchNorm: {sentence}" in out
        assert ("convert it with --mean 0.1307 --std 0.3081" in out) == (name == "digits")


OWN = Preprocessing(0.6, "nearest")


def test_images_are_made_as_the_teachers_own(save_random_teacher, succeed, tmp_path):
    """By CIFAR's usual transform, which takes 32 pixels only, these would be refused."""
    root = write_tree(tmp_path / "val", [f"{label:05d}" for label in range(10)], size=64)
    save_random_teacher(tmp_path / "t", dataset="cifar10", preprocessing=OWN)
    teacher, transform = load_teacher(tmp_path / "t"), make_transform(get_dataset("cifar10"), 32, OWN)
    images = np.stack([transform(path.read_bytes(), path.name) for path in sorted(root.glob("*/*.png"))])
    found = np.argmax(teacher.logits(to_input(images, "raw", CIFAR_NORMALISATION)), 1)
    top1 = 100 * np.mean(found == np.arange(20) // 2)
    out = succeed(teacher_check, tmp_path / "t", "--data", root)
    assert "test images as the teacher's own: crop_pct 0.6, nearest" in out
    assert f"top-1 {top1:.2f} %" in out
