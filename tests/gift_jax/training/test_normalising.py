"""One normalisation for a run: the set's pixels, the teacher's inputs and the test images; the plan names them."""

import dataclasses

import numpy as np
from setups import INFO, distilled_set, evaluation_set, random_digits, random_teacher, train_digits

from gift_jax import plan
from gift_jax.data.datasets import DATASETS, DIGITS_NORMALISATION, Normalisation
from gift_jax.models import get_model
from gift_jax.recipes.recipe import Recipe
from gift_jax.studies.cells import Cell
from gift_jax.task import Task
from gift_jax.training.identity import differences

OTHER = Normalisation((0.5,), (0.25,))
RECIPE = Recipe(augment="none", epochs=2, batch_size=11, evaluations=1)
CE, BY_OTHER = dataclasses.replace(RECIPE, loss="ce"), dataclasses.replace(RECIPE, normalisation=OTHER)
STUDENT = get_model(INFO.spec)


def normalised(by, *, told=True):
    images = (random_digits(22)[0].astype("f") / 255 - np.float32(by.mean[0])) / np.float32(by.std[0])
    return distilled_set(images=images, pixel_space="normalised", normalisation=by if told else None)


def run(recipe, distilled, teacher):
    return train_digits(recipe, distilled, teacher)[0]


def test_pixels_with_other_statistics_are_normalised_as_the_teachers():
    """The same run as of the raw set; without what the file tells, another one."""
    teacher = random_teacher()
    raw, other, untold = (
        run(RECIPE, one, teacher) for one in (distilled_set(), normalised(OTHER), normalised(OTHER, told=False))
    )
    np.testing.assert_allclose(other.losses, raw.losses, rtol=1e-4)
    assert not np.allclose(untold.losses, raw.losses, rtol=1e-3)
    assert other.history == raw.history


def test_without_a_teacher_the_sets_own_statistics_are_the_test_images_too():
    by_recipe = run(dataclasses.replace(CE, normalisation=OTHER), distilled_set(), None)
    own = run(CE, normalised(OTHER), None)
    np.testing.assert_allclose(own.losses, by_recipe.losses, rtol=1e-4)
    assert own.history == by_recipe.history
    assert not np.allclose(run(CE, distilled_set(), None).losses, own.losses, rtol=1e-3)


def test_a_dataset_that_is_described_anew_makes_another_run(monkeypatch):
    """Without a teacher its statistics are the networks'; before, a run under the old ones was taken for one anew."""
    before = Task(CE, STUDENT, distilled_set(), None, evaluation_set()).identity()
    anew = dataclasses.replace(DATASETS["digits"], normalisation=OTHER)
    monkeypatch.setattr("gift_jax.training.normalising.get_dataset", lambda name: anew)
    after = Task(CE, STUDENT, distilled_set(), None, evaluation_set()).identity()
    assert [text.partition(":")[0] for text in differences(before, after)] == ["recipe.normalisation.mean",
                                                                               "recipe.normalisation.std"]  # fmt: skip


def test_the_plan_names_whose_normalisation_it_is():
    """A set's own: test_evaluate.py."""
    for recipe, distilled, teacher, text in (
        (BY_OTHER, distilled_set(), random_teacher(), "(the recipe's), test images too"),
        (CE, distilled_set(), None, "(the dataset's), test images too"),
        (RECIPE, normalised(OTHER), random_teacher(), "(the teacher's), test images too; the set was normalised by"),
        (RECIPE, normalised(OTHER, told=False), random_teacher(), "(the teacher's), test images too; the set is norm"),
    ):
        task = Task(recipe, STUDENT, distilled, teacher, evaluation_set())
        assert text in dict(plan.describe(task, (0,)))["normalisation"]


def test_cells_that_differ_in_a_sets_statistics_alone_are_different_runs():
    by_other, by_digits = (
        dataclasses.replace(normalised(OTHER), normalisation=statistics) for statistics in (OTHER, DIGITS_NORMALISATION)
    )
    for recipe, teacher in ((RECIPE, random_teacher()), (CE, None)):
        cells = [Cell({}, Task(recipe, STUDENT, one, teacher, evaluation_set())) for one in (by_other, by_digits)]
        assert cells[0].identity() != cells[1].identity()
    assert cells[0].program.normalisation == OTHER
