"""Class-incremental learning: its cells, and figures by hand."""

import numpy as np
import pytest
from setups import distilled_set, evaluation_set, random_teacher

from experiments import continual_learning
from experiments.continual_learning import ClassCell, ContinualLearning, even_batch_size, subset, views
from experiments.continual_learning.subset import class_steps
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.identity import fingerprint


def test_stages_of_one_order_share_students_and_see_their_classes_only(materials):
    config = ContinualLearning(losses=("gift",), steps=(2, 4), num_seeds=2, epochs=1)
    cells = {(cell.labels["stage"], cell.seed): cell for cell in continual_learning.make_cells(config, materials)}
    assert len(cells) == 2 * (2 + 4)
    for seed in (0, 1):
        half, end = class_steps(10, 2, seed)
        middle = cells["step 1 of 2", seed].task
        assert middle.distilled.classes == tuple(sorted(half))
        assert middle.student.spec.num_classes == middle.teacher.info.num_classes == 5
        assert set(middle.test_set.class_names) == {str(label) for label in half}
        ends = [cells[f"step {count} of {count}", seed] for count in (2, 4)]
        assert ends[0].task.distilled.num_classes == 10
        assert fingerprint(ends[0].identity()) == fingerprint(ends[1].identity())
        assert sorted(half + end) == list(range(10))


def test_a_single_class_is_not_trained_on(materials):
    config = ContinualLearning(losses=("gift",), steps=(10,), num_seeds=1, epochs=1)
    stages = [cell.labels["stage"] for cell in continual_learning.make_cells(config, materials)]
    assert stages == [f"step {step} of 10" for step in range(2, 11)]


@pytest.mark.parametrize(("count", "size"), [(20, 20), (50, 50), (60, 30), (90, 45), (100, 50), (130, 44), (600, 100)])
def test_batches_are_even_and_at_most_the_official_size(count, size):
    assert even_batch_size(count) == size


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
    assert views.forgetting([[90], [70, 80], [75, 85, 60], [50, 65, 64, 99]]) == pytest.approx(56 / 3)
    assert views.forgetting([[80], [80, 10], [80, 10, 5]]) == 0
    assert views.forgetting([[100], [0, 100], [0, 0, 100]]) == 100
    assert views.forgetting([[50], [70, 30]]) == -20  # earlier classes gained


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


def stage_row(loss, step, steps, hits, seed=0):
    """A row after a step, from hits of 10 test images a class."""
    seen = [label for part in class_steps(10, steps, seed)[:step] for label in part]
    top1 = 100 * sum(hits) / (10 * len(seen))
    row = {"labels": {"loss": loss, "stage": f"step {step} of {steps}"}, "seed": seed, "dataset": "digits"}
    counts = [[label, 10, hit] for label, hit in zip(seen, hits, strict=True)]
    return {**row, "top1_last": top1, "top1_best": top1 + 1, "by_class": counts}


def test_figures_of_a_sequence_by_hand():
    rows = [stage_row("gift", 1, 2, [10, 9, 8, 10, 8]), stage_row("gift", 2, 2, [5, 6, 7, 5, 7, 10, 10, 9, 9, 2])]
    [(key, points)] = views.read_sequences(rows).items()
    assert key == ("gift", 2, 0)
    assert [point.classes for point in points] == [5, 10]
    assert points[0].tasks == pytest.approx((90,))  # 45 of 50
    assert points[1].tasks == pytest.approx((60, 80))  # 30 and 40 of 50
    [summary] = views.sequence_rows({key: points})
    assert summary["top1_last"] == pytest.approx(80)  # (90 + 70) / 2
    assert summary["top1_best"] == pytest.approx(81)
    assert summary["forgetting"] == pytest.approx(30)  # 90 - 60


def test_a_diverged_student_guesses_and_an_incomplete_sequence_is_left_out():
    failed = {"labels": {"loss": "kl", "stage": "step 2 of 2"}, "seed": 0, "failed": "diverged"}
    rows = [stage_row("kl", 1, 2, [10, 9, 8, 10, 8]), failed, stage_row("gift", 1, 2, [10] * 5)]
    sequences = views.read_sequences(rows)
    assert list(sequences) == [("kl", 2, 0)]
    assert sequences["kl", 2, 0][1] == (10, 10, 10, pytest.approx((10, 10)))


def test_the_first_of_ten_steps_counts_as_100():
    rows = [stage_row("gift", step, 10, [10] * (step - 1) + [0]) for step in range(2, 11)]
    [points] = views.read_sequences(rows).values()
    assert points[0] == (1, 100, 100, (100,))
    assert points[2].tasks == (100, 100, 0)
