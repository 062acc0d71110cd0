"""Some classes of a set, its teacher and its test images."""

import dataclasses

import jax
import numpy as np
import pytest
from setups import distilled_set, evaluation_set, random_teacher

from experiments.continual_learning import subset
from gift_jax import load_distilled, save_distilled
from gift_jax.models import get_model
from gift_jax.teachers.teacher import make_teacher

CLASSES = (1, 4, 7)


def test_sets_and_test_images_keep_their_classes_under_new_labels():
    whole, tests = distilled_set(soft_labels=np.arange(220, dtype=np.float32).reshape(22, 10)), evaluation_set(23)
    part, tested = subset.restrict(whole, CLASSES), subset.restrict_evaluation(tests, CLASSES)
    rows = [1, 4, 7, 11, 14, 17, 21]  # labels are the row modulo 10
    for found, images in ((part, whole.images), (tested, tests.images)):
        np.testing.assert_array_equal(found.images, images[rows])
        np.testing.assert_array_equal(found.labels, [0, 1, 2, 0, 1, 2, 0])
    assert tested.class_names == ("1", "4", "7")
    np.testing.assert_array_equal(part.soft_labels[1], [41, 44, 47])
    assert (part.num_classes, part.classes, whole.classes) == (3, CLASSES, None)


def test_a_restricted_set_is_kept_on_disk(tmp_path):
    part = subset.restrict(distilled_set(), CLASSES)
    assert subset.restrict(part, (0, 2)).classes == (1, 7)  # those of the dataset
    save_distilled(tmp_path / "part.safetensors", part)
    read = load_distilled(tmp_path / "part.safetensors")
    assert (read.classes, read.num_classes) == (CLASSES, 3)
    np.testing.assert_array_equal(read.labels, part.labels)


def test_the_teachers_logits_are_those_of_its_classes():
    teacher = random_teacher()
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype(np.float32)
    part = subset.restrict_teacher(teacher, CLASSES)
    expected = np.asarray(teacher.logits(images))[:, list(CLASSES)]
    np.testing.assert_allclose(np.asarray(part.logits(images)), expected, rtol=1e-6)
    assert part.info.num_classes == part.model.spec.num_classes == 3
    everything = subset.restrict_teacher(teacher, range(10))
    np.testing.assert_array_equal(np.asarray(everything.logits(images)), np.asarray(teacher.logits(images)))


@pytest.mark.parametrize("name", ["resnet18_modified", "vgg11"])
def test_only_the_last_layer_of_an_architecture_is_restricted(name):
    info = dataclasses.replace(random_teacher().info, architecture=name, options={}, image_size=32, num_classes=10)
    arrays = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), get_model(info.spec).abstract())
    teacher = make_teacher(info, *arrays)
    part = subset.restrict_teacher(teacher, CLASSES)
    whole, found = ([leaf.shape for leaf in jax.tree.leaves(each.params)] for each in (teacher, part))
    changed = [(a, b) for a, b in zip(whole, found, strict=True) if a != b]
    assert len(changed) == 2  # kernel and bias
    assert all((a[-1], b[-1], a[:-1]) == (10, 3, b[:-1]) for a, b in changed)
