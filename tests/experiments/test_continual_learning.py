"""Class-incremental learning: its cells, and figures by hand."""

import pytest

from experiments import continual_learning
from experiments.continual_learning import ContinualLearning, even_batch_size
from experiments.continual_learning import views as continual_views
from experiments.continual_learning.class_steps import class_steps
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


def stage_row(loss, step, steps, hits, seed=0):
    """A row after a step, from hits of 10 test images a class."""
    seen = [label for part in class_steps(10, steps, seed)[:step] for label in part]
    top1 = 100 * sum(hits) / (10 * len(seen))
    row = {"labels": {"loss": loss, "stage": f"step {step} of {steps}"}, "seed": seed, "dataset": "digits"}
    counts = [[label, 10, hit] for label, hit in zip(seen, hits, strict=True)]
    return {**row, "top1_last": top1, "top1_best": top1 + 1, "by_class": counts}


def test_figures_of_a_sequence_by_hand():
    rows = [stage_row("gift", 1, 2, [10, 9, 8, 10, 8]), stage_row("gift", 2, 2, [5, 6, 7, 5, 7, 10, 10, 9, 9, 2])]
    [(key, points)] = continual_views.read_sequences(rows).items()
    assert key == ("gift", 2, 0)
    assert [point.classes for point in points] == [5, 10]
    assert points[0].tasks == pytest.approx((90,))  # 45 of 50
    assert points[1].tasks == pytest.approx((60, 80))  # 30 and 40 of 50
    [summary] = continual_views.sequence_rows({key: points})
    assert summary["top1_last"] == pytest.approx(80)  # (90 + 70) / 2
    assert summary["top1_best"] == pytest.approx(81)
    assert summary["forgetting"] == pytest.approx(30)  # 90 - 60


def test_a_diverged_student_guesses_and_an_incomplete_sequence_is_left_out():
    failed = {"labels": {"loss": "kl", "stage": "step 2 of 2"}, "seed": 0, "failed": "diverged"}
    rows = [stage_row("kl", 1, 2, [10, 9, 8, 10, 8]), failed, stage_row("gift", 1, 2, [10] * 5)]
    sequences = continual_views.read_sequences(rows)
    assert list(sequences) == [("kl", 2, 0)]
    assert sequences["kl", 2, 0][1] == (10, 10, 10, pytest.approx((10, 10)))


def test_the_first_of_ten_steps_counts_as_100():
    rows = [stage_row("gift", step, 10, [10] * (step - 1) + [0]) for step in range(2, 11)]
    [points] = continual_views.read_sequences(rows).values()
    assert points[0] == (1, 100, 100, (100,))
    assert points[2].tasks == (100, 100, 0)
