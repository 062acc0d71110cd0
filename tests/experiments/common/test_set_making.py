"""Sets that are made here, by hand; what is found in a file is what would be made, or it is refused."""

import dataclasses

import numpy as np
import pytest
from setups import INFO, make_variables, random_teacher

from experiments.common.real_images import training_digits
from experiments.common.set_making import cluster_centres, find_set, herded_images, medoids
from gift_jax import GiftError, save_distilled
from gift_jax.teachers.teacher import make_teacher

CHANGES = {
    "ipc": ({"ipc": 3}, "is a random set of digits with 3 images"),
    "method": ({"method": "herding"}, "is a herding set"),
    "teacher": ({}, "is a rded set .* of another teacher, not the rded set with 2 of digits under this teacher"),
    "weights": ({}, "is a rded set .* of another teacher"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_another_set_is_refused(kind, tmp_path):
    changes, message = CHANGES[kind]
    method = "rded" if kind in ("teacher", "weights") else "random"
    made = find_set(tmp_path / "made.safetensors", method, training_digits(), random_teacher(), 2)
    save_distilled(path := tmp_path / "set.safetensors", dataclasses.replace(made, **changes))
    info = dataclasses.replace(INFO, source_sha256="1" * 64) if kind == "teacher" else INFO
    teacher = make_teacher(info, *make_variables(int(kind == "weights")))
    with pytest.raises(GiftError, match=message):
        find_set(path, method, training_digits(), teacher, 2)


def test_a_set_of_the_same_making_is_taken_as_it_is(tmp_path):
    asked = (tmp_path / "set.safetensors", "random", training_digits(), random_teacher(), 2)
    assert np.array_equal(find_set(*asked).images, find_set(*asked).images)


def test_herding_and_clusters_by_hand():
    images = np.array([0, 10, 20, 90, 100], np.uint8).reshape(5, 1, 1, 1)  # mean 44
    assert herded_images(images, 2).ravel().tolist() == [20, 90]  # 20 is next to 44, then (20 + 90) / 2 = 55
    assert sorted(cluster_centres(images, 2).ravel().tolist()) == [10, 95]
    assert sorted(medoids(images, 2).ravel().tolist()) == [10, 90]  # real ones: 90 is the first of two nearest to 95
