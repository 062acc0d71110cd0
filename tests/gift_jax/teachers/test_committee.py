"""Several teachers as one: their logits' mean, and training under it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form
from setups import INFO, distilled_set, evaluation_set, random_digits, random_teacher

from gift_jax.data.datasets import Normalisation
from gift_jax.errors import GiftError
from gift_jax.models import get_model
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import train
from gift_jax.teachers.committee import unite
from gift_jax.teachers.teacher import make_teacher
from gift_jax.training.identity import teacher_identity

OTHER = dataclasses.replace(INFO, architecture="conv1", options={"width": 3}, source_file="o.pth")


def other_teacher(**changes):
    info = dataclasses.replace(OTHER, **changes)
    return make_teacher(info, *get_model(info.spec).init(jax.random.key(1)))


@pytest.mark.parametrize(("weights", "shares"), [((), (1 / 3, 1 / 3, 1 / 3)), ((1, 2, 5), (1 / 8, 1 / 4, 5 / 8))])
def test_logits_are_the_weighted_mean(weights, shares):
    teachers = [random_teacher(0), other_teacher(), random_teacher(2)]
    images = random_digits(6)[0].astype("f") / 255
    logits = [np.asarray(teacher.logits(images), np.float64) for teacher in teachers]
    expected = np.average(logits, axis=0, weights=shares)
    united = unite(teachers, weights)
    np.testing.assert_allclose(united.logits(images), expected, rtol=1e-5, atol=1e-5)
    assert united.info.architecture == "conv2+conv1+conv2"
    assert unite(teachers[:1]) is teachers[0]  # one alone stays as it is


@pytest.mark.parametrize("precision", short_form(["float32", "bfloat16"], ["float32"]))
def test_training_under_two_equal_teachers_is_training_under_one(precision):
    recipe = Recipe(epochs=2, evaluations=1, batch_size=11, precision=precision)
    student, distilled, tested = get_model(INFO.spec), distilled_set(), evaluation_set()
    runs = [
        train(recipe, student, distilled, teacher, tested, seeds=[0])[0]
        for teacher in (random_teacher(), unite([random_teacher(), random_teacher()], (1.0, 3.0)))
    ]
    found, expected = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(run.state.params)]) for run in runs)
    np.testing.assert_allclose(found, expected, atol={"float32": 1e-4, "bfloat16": 2e-2}[precision])


WEIGHTS = "2 teachers need as many weights above 0, not"


@pytest.mark.parametrize(
    ("changes", "weights", "hint"),
    [
        ({"dataset": "mnist"}, (), "differ in their dataset: digits, mnist"),
        ({"image_size": 16}, (), r"differ in their input: \(8, 8, 1, 10\), \(16, 16, 1, 10\)"),
        ({"normalisation": Normalisation((0.5,), (0.5,))}, (), "conv2 and conv1 differ in their normalisation"),
        ({}, (1.0,), WEIGHTS),
        ({}, (1.0, 0.0), WEIGHTS),
        ({}, (math.nan, 1.0), WEIGHTS),
    ],
)
def test_teachers_and_weights_that_do_not_fit_are_refused(changes, weights, hint):
    with pytest.raises(GiftError, match=hint):
        unite([random_teacher(), other_teacher(**changes)], weights)


def test_shares_are_part_of_what_a_run_is_known_by():
    teachers = [random_teacher(), other_teacher()]
    found = [teacher_identity(unite(teachers, weights)) for weights in ((), (1, 2))]
    assert found[0] != found[1]
    assert jnp.isclose(unite(teachers, (1, 2)).params["shares"].sum(), 1)
