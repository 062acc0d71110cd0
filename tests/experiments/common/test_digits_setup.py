"""What studies on the digits find in their directory is what they would make, or it is refused."""

import dataclasses

import jax
import numpy as np
import pytest
from setups import INFO, make_variables, random_teacher

from experiments.common.digits_setup import example_teacher, find_set, training_digits
from experiments.common.set_making import make_set
from gift_jax import GiftError, save_distilled
from gift_jax.data.datasets import CIFAR_NORMALISATION
from gift_jax.models import get_model
from gift_jax.teachers.teacher import make_teacher, save_teacher


@pytest.mark.parametrize(
    "changes", [{"architecture": "conv1"}, {"dataset": "cifar10", "image_size": 32, "channels": 3}]
)
def test_another_teacher_is_refused(changes, tmp_path):
    info = dataclasses.replace(INFO, **changes)
    if info.channels == 3:
        info = dataclasses.replace(info, normalisation=CIFAR_NORMALISATION)
    save_teacher(tmp_path / "teacher", info, *get_model(info.spec).init(jax.random.key(0)))
    with pytest.raises(GiftError, match=f"is a {info.architecture} of {info.dataset}, not the conv2 of digits"):
        example_teacher(tmp_path)


def test_a_teacher_of_another_checkpoint_than_the_one_beside_it_is_refused(tmp_path):
    save_teacher(tmp_path / "teacher", INFO, *make_variables())
    example_teacher(tmp_path)
    (tmp_path / "teacher.pth").write_bytes(b"another")
    with pytest.raises(GiftError, match="was not converted from"):
        example_teacher(tmp_path)


CHANGES = {
    "ipc": ({"ipc": 3}, "is a random set of digits with 3 images"),
    "method": ({"method": "herding"}, "is a herding set"),
    "teacher": ({}, "is a rded set .* of another teacher, not the rded set with 2 of digits under this teacher"),
    "weights": ({}, "is a rded set .* of another teacher"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_another_set_is_refused(kind, tmp_path):
    changes, message = CHANGES[kind]
    images, labels = training_digits()
    method = "rded" if kind in ("teacher", "weights") else "random"
    made = make_set(method, images, labels, random_teacher(), changes.get("ipc", 2))
    save_distilled(path := tmp_path / "set.safetensors", dataclasses.replace(made, **changes))
    info = dataclasses.replace(INFO, source_sha256="1" * 64) if kind == "teacher" else INFO
    with pytest.raises(GiftError, match=message):
        find_set(path, method, images, labels, make_teacher(info, *make_variables(int(kind == "weights"))), 2)


def test_a_set_of_the_same_making_is_taken_as_it_is(tmp_path):
    images, labels = training_digits()
    path, asked = tmp_path / "set.safetensors", ("random", images, labels, random_teacher(), 2)
    first = find_set(path, *asked)
    assert np.array_equal(find_set(path, *asked).images, first.images)
