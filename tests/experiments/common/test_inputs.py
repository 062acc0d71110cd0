"""What a study trains on is what `evaluate` trains on, for each of its sets, in any order."""

import dataclasses
import shutil

import numpy as np
import pytest
from folders import pixels, write_tree
from setups import distilled_set

from experiments import add_dataset, cross_optimizer, evaluate, label_quality, loss_comparison
from experiments.common.inputs import Inputs, find_whitening, load_test
from experiments.common.study import load_materials
from gift_jax import DistilledSet, GiftError, save_distilled
from gift_jax.data.datasets import DATASETS, Normalisation, get_dataset

FOLDERS = [f"{label:05d}" for label in range(10)]
WHERE = {"dataset": "cifar10", "model": "conv1", "ipc": 1, "data": "val"}
LABELS = np.eye(10, dtype=np.float32)


def save_set(method, dataset="cifar10", **changes):
    images = np.stack([pixels(label) for label in range(10)])
    labels = np.arange(10, dtype=np.int32)
    made = DistilledSet(images, labels, None, "raw", dataset, method, 1)
    place = f"syn_data/{method}/{dataset}_conv1/ipc1/set.safetensors"
    save_distilled(place, dataclasses.replace(made, **changes))


@pytest.fixture(autouse=True)
def place(save_random_teacher, tmp_path, monkeypatch):
    """A directory with a teacher and images of CIFAR-10's form, where the official layout has them."""
    monkeypatch.chdir(tmp_path)
    teacher = tmp_path / "data" / "pretrain_models" / "cifar10_conv1"
    save_random_teacher(teacher, architecture="conv1", dataset="cifar10")
    for split, count in (("val", 1), ("train", 2)):
        write_tree(tmp_path / split, FOLDERS, per_class=count)
    return tmp_path


@pytest.mark.parametrize("order", [("ncfm", "rded", "dc"), ("rded", "dc", "ncfm")])
def test_each_set_is_treated_as_evaluate_treats_it(order):
    save_set("ncfm", soft_labels=LABELS)
    save_set("rded")
    save_set("dc")
    config = loss_comparison.LossComparison(**WHERE, methods=order, losses=("gift",), num_seeds=1)
    cells = {cell.labels["method"]: cell for cell in loss_comparison.make_cells(config, load_materials(config, order))}
    for method, cell in cells.items():
        parts = evaluate.load_task(evaluate.Evaluate(**WHERE, method=method))
        assert (cell.task.teacher is None) == (parts.teacher is None) == (method == "ncfm")
        assert cell.task.student.spec == parts.student.spec
        assert dict(cell.task.student.spec.options).get("norm") == ("instance" if method == "dc" else None)
    asked = dataclasses.replace(config, teacher=config.teacher / "cifar10_conv1")
    assert all(cell.task.teacher for cell in loss_comparison.make_cells(asked, load_materials(asked, order)))


def test_random_images_have_the_student_of_all_sets_or_none():
    save_set("rded")
    save_set("dc")
    config = label_quality.LabelQuality(**WHERE, methods=("rded", "dc"))
    assert load_materials(config, ["dc"]).student_of("random-0").spec.options == (("norm", "instance"),)
    with pytest.raises(GiftError, match="--methods rded dc: their students have different options"):
        load_materials(config, config.methods).student_of("random-0")


def test_sets_of_different_sizes_are_studied_apart():
    save_set("rded")
    save_set("dc", images=np.zeros((10, 16, 16, 3), np.uint8))
    with pytest.raises(GiftError, match="mixes sets of images"):
        load_materials(loss_comparison.LossComparison(**WHERE), ["rded", "dc"])


def test_settings_are_chosen_on_images_that_are_whitened_as_test_images_are(place, capsys):
    images = np.random.default_rng(0).normal(size=(10, 32, 32, 3)).astype("f")
    save_set("datm", images=images, pixel_space="zca", soft_labels=LABELS)
    shutil.copytree(place / "val", place / "train", dirs_exist_ok=True)
    study = cross_optimizer.CrossOptimizer(**{**WHERE, "data": "train"}, train_data="train")
    materials = load_materials(study, ["datm"])
    assert materials.validation_set.pixel_space == "zca"
    np.testing.assert_array_equal(materials.validation_set.images, materials.evaluation_set.images)
    assert "--train-data holds the test images" in capsys.readouterr().err


def test_a_dataset_of_other_channels_has_a_whitening_of_its_own(place, monkeypatch):
    """Of the same files, which the cache once took for the same images."""
    inputs = Inputs(dataset="cifar10", train_data="val")
    colour = find_whitening(inputs, 32)
    grey = dataclasses.replace(get_dataset("cifar10"), channels=1, normalisation=Normalisation((0.5,), (0.5,)))
    monkeypatch.setitem(DATASETS, "cifar10", grey)
    assert (colour.mean.size, find_whitening(inputs, 32).mean.size) == (32 * 32 * 3, 32 * 32)


def test_a_study_of_ones_own_dataset_finds_its_training_images(succeed):
    succeed(add_dataset, "mine", "--data", "train", "--test-data", "val")
    save_set("rded", dataset="mine")
    shutil.copytree("data/pretrain_models/cifar10_conv1", "data/pretrain_models/mine_conv1")
    study = cross_optimizer.CrossOptimizer(dataset="mine", model="conv1", ipc=1)
    assert len(load_materials(study, ["rded"]).validation_set.labels) == 20


OWN = {"model": "conv3", "teacher": "t", "distilled": "d", "data": "tfds", "train_data": "d", "class_order": "o"}


@pytest.mark.parametrize("option", ["data", "class_order"])
def test_evaluate_refuses_what_the_digits_do_not_read(option):
    with pytest.raises(GiftError, match="the digits come with scikit-learn"):
        load_test(evaluate.Evaluate(dataset="digits", model="conv2", **{option: OWN[option]}), distilled_set())


@pytest.mark.parametrize("option", OWN)
def test_what_a_study_of_the_digits_does_not_read_is_refused(option):
    with pytest.raises(GiftError, match=f"--{option.replace('_', '-')}: studies of the digits make their own"):
        loss_comparison.LossComparison(**{option: OWN[option]})
