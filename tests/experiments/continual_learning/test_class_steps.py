"""The order of classes, and figures of a sequence of steps against tables worked out by hand."""

import numpy as np
import pytest
from setups import distilled_set, evaluation_set, random_teacher

from experiments.continual_learning import subset
from experiments.continual_learning.class_steps import ClassCell, class_steps, forgetting
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task


def test_steps_hold_every_class_once_in_an_order_of_the_seed():
    five, ten = class_steps(10, 5, seed=3), class_steps(10, 10, seed=3)
    assert [len(step) for step in five] == [2] * 5
    assert sorted(sum(five, ())) == list(range(10))
    assert sum(five, ()) == sum(ten, ())
    assert class_steps(10, 5, seed=3) == five
    assert len({class_steps(10, 5, seed) for seed in range(4)}) == 4
    assert [len(step) for step in class_steps(10, 4, seed=0)] == [3, 3, 2, 2]  # the larger ones first


def test_forgetting_of_tables_by_hand():
    # Task 0: max(90, 70, 75) - 50 = 40. Task 1: max(80, 85) - 65 = 20. Task 2: 60 - 64 = -4. The last counts not.
    assert forgetting([[90], [70, 80], [75, 85, 60], [50, 65, 64, 99]]) == pytest.approx(56 / 3)
    assert forgetting([[80], [80, 10], [80, 10, 5]]) == 0
    assert forgetting([[100], [0, 100], [0, 0, 100]]) == 100
    assert forgetting([[50], [70, 30]]) == -20  # earlier classes gained


def test_a_row_counts_test_images_and_hits_by_class():
    classes = (1, 4, 7)
    student, teacher = subset.restrict_model(random_teacher().model, classes), random_teacher()
    parts = (subset.restrict(distilled_set(), classes), subset.restrict_teacher(teacher, classes))
    tests = subset.restrict_evaluation(evaluation_set(23), classes)
    task = Task(Recipe(epochs=1, batch_size=7, augment="none"), student, *parts, tests)
    cell = ClassCell({"loss": "gift"}, task, whole=task)
    row = cell.run(lambda epochs, loss: None)
    assert [(label, images) for label, images, _ in row["by_class"]] == [(1, 3), (4, 2), (7, 2)]  # of 23: 1, 11, 21
    hits = np.array([hits for _, _, hits in row["by_class"]])
    assert row["top1_last"] == pytest.approx(100 * hits.sum() / 7, rel=1e-5)  # a row has six digits
    short = cell.shortened(1, 4)
    assert (type(short), short.epochs, short.num_tested) == (ClassCell, 1, 4)
