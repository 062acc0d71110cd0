"""Class-incremental learning and the quality of labels: reduced grids to their reports, and figures by hand."""

import numpy as np
import pytest
from folders import pixels, write_tree
from forms import short_form
from setups import INFO, distilled_set, evaluation_set, make_variables, random_teacher

from experiments import continual_learning, label_quality, report
from experiments.common import label_gains, reporting
from experiments.common.real_images import load_real
from experiments.common.study import Materials
from experiments.continual_learning import ContinualLearning, even_batch_size
from experiments.continual_learning import views as continual_views
from experiments.continual_learning.class_steps import class_steps
from experiments.label_quality import LabelQuality
from gift_jax import GiftError
from gift_jax.teachers.teacher import save_teacher
from gift_jax.training.configuration import fingerprint

SMALL = ("--epochs", 2, "--seeds", 2, "--ipc", 2)


def materials():
    sets = {"rded": distilled_set(30, ipc=3, method="rded")}
    return Materials(random_teacher(), sets, evaluation_set(40), None, {"rded": random_teacher().model})


STUDIES = [
    (
        continual_learning,
        ("--losses", "gift", "ce", "--steps", 2),
        2 * 2 * 2,
        ["Protocol", "In 2 steps", "Differences of averages", "Forgetting"],
    ),
    (
        label_quality,
        ("--losses", "ce", "gift", "--methods", "kmeans", "--real-epochs", 1),
        2 * 2 * 2 * 2 + 2,
        ["Summary", "Shares of labels and images", "DD-Ranking's scores", "Without augmentation"],
    ),
]


@pytest.mark.parametrize("name", short_form([study[0].NAME for study in STUDIES], ()))
def test_a_reduced_grid_runs_to_its_report(name, command, tmp_path):
    [(module, options, count, headings)] = [study for study in STUDIES if name == study[0].NAME]
    save_teacher(tmp_path / "teacher", INFO, *make_variables())
    status, _, err = command(module, "--out", tmp_path, *SMALL, *options)
    assert status == 0, err
    text = (tmp_path / "report.md").read_text()
    for heading in [*headings, "Training curves", "The distilled images", "Configuration"]:
        assert f"\n## {heading}" in text
    assert "n = 2" in text
    assert "Incomplete" not in text
    assert "nan" not in text
    written = (tmp_path / "results.jsonl").read_bytes()
    assert len(written.splitlines()) == count
    status, out, _ = command(module, "--out", tmp_path, *SMALL, *options, "--dry-run")
    assert (status, f"0 of {count} cells to run" in out) == (0, True)
    assert command(module, "--out", tmp_path, *SMALL, *options)[0] == 0
    assert (tmp_path / "results.jsonl").read_bytes() == written  # nothing is run again
    assert command(report, tmp_path, "--out", tmp_path / "joined")[0] == 0
    assert f"\n## {headings[0]}" in (tmp_path / "joined" / "report.md").read_text()


def test_stages_of_one_order_share_students_and_see_their_classes_only():
    config = ContinualLearning(losses=("gift",), steps=(2, 4), seeds=2, epochs=1)
    cells = {(cell.labels["stage"], cell.seed): cell for cell in continual_learning.make_cells(config, materials())}
    assert len(cells) == 2 * (2 + 4)
    for seed in (0, 1):
        half, end = class_steps(10, 2, seed)
        middle = cells["step 1 of 2", seed]
        assert middle.distilled.classes == tuple(sorted(half))
        assert middle.student.spec.num_classes == middle.teacher.info.num_classes == 5
        assert set(middle.evaluation_set.class_names) == {str(label) for label in half}
        ends = [cells[f"step {count} of {count}", seed] for count in (2, 4)]
        assert ends[0].distilled.num_classes == 10
        assert fingerprint(ends[0].configuration()) == fingerprint(ends[1].configuration())
        assert sorted(half + end) == list(range(10))


def test_a_single_class_is_not_trained_on():
    config = ContinualLearning(losses=("gift",), steps=(10,), seeds=1, epochs=1)
    stages = [cell.labels["stage"] for cell in continual_learning.make_cells(config, materials())]
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


def test_a_run_under_two_labels_takes_its_time_once():
    row = {
        "cell": "a",
        "seconds": 30.0,
        "train_seconds": 9.0,
        "recipe": {},
        "device": "d",
        "versions": {},
        "teacher": None,
    }
    row |= {"teacher_sha256": None, "method": "rded", "distilled": {}}
    table = dict(reporting.configuration([row, {**row, "labels": {}}, {**row, "cell": "b"}]).blocks[0].rows)
    assert table["runs"] == "2, of which 0 failed"
    assert table["time"].startswith("60 s of")


def label_row(images, loss, top1, seed=0, augmentation="dsa"):
    labels = {"images": images, "loss": loss, "augmentation": augmentation}
    return {"labels": labels, "seed": seed, "dataset": "digits", "top1_last": top1, "top1_best": top1}


ROWS = [
    *(label_row("random", "ce", 60.0), label_row("random", "gift", 80.0)),
    *(label_row("rded", "ce", 50.0), label_row("rded", "gift", 90.0)),
    *(label_row("random", "ce", 55.0, augmentation="none"), label_row("random", "gift", 70.0, augmentation="none")),
    *(label_row("rded", "ce", 45.0, augmentation="none"), label_row("rded", "gift", 60.0, augmentation="none")),
    {"labels": {"reference": "all"}, "seed": 0, "dataset": "digits", "top1_last": 95.0},
]


def test_shares_of_labels_and_images_by_hand():
    # Labels add 20 on random images and 40 on distilled ones; images add -10 under ce and 10 under gift.
    shares = label_gains.shares(label_gains.read_accuracies(ROWS), "rded", "gift")
    assert shares.total == {0: 30}
    assert shares.labels == {0: 30}
    assert shares.images == {0: 0}


def test_the_scores_of_a_report_by_hand():
    accuracies = label_gains.read_accuracies(ROWS)
    rows = label_gains.score_section(accuracies, ["rded"], ["ce", "gift"], 0.5, 0.5).blocks[1].rows
    # HLR = 95 - 50. gift: IOR = 10, a = (0.10 - 0.45) / 2 = -0.175, (e^-0.175 - 0.36788) / 2.35040 = 0.2006;
    # without augmentation IOR = -10, b = 0: 1 / (1 + e) = 0.2689.
    assert ["rded", "`gift`", "+45.0", "+10.0", "20.1", "-10.0", "26.9"] in rows
    # ce: IOR = -10 both times: a = -0.275, (0.75957 - 0.36788) / 2.35040 = 0.1667; b = -0.1: (0.90484 - ...) = 0.2285
    assert ["rded", "`ce`", "+45.0", "-10.0", "16.7", "-10.0", "22.8"] in rows


def test_without_students_of_all_real_images_there_is_no_label_robust_score():
    accuracies = label_gains.read_accuracies(ROWS[:-1])
    rows = label_gains.score_section(accuracies, ["rded"], ["gift"], 0.5, 0.5).blocks[1].rows
    assert ["rded", "`gift`", "-", "+10.0", "-", "-10.0", "26.9"] in rows


def test_draws_are_training_digits_and_another_one_for_each_seed():
    real = load_real(LabelQuality(), 8)
    draws = [real.draw(3, seed) for seed in (0, 1)]
    training = {image.tobytes() for image in real.everything().images}
    for drawn in draws:
        np.testing.assert_array_equal(drawn.labels, np.repeat(np.arange(10), 3))
        assert {image.tobytes() for image in drawn.images} <= training
    assert not np.array_equal(*(drawn.images for drawn in draws))
    np.testing.assert_array_equal(draws[0].images, real.draw(3, 0).images)


def test_real_sets_are_drawn_from_their_files(tmp_path):
    folders = [f"{label:05d}" for label in range(10)]
    source = write_tree(tmp_path / "train", folders, per_class=3)
    real = load_real(LabelQuality(dataset="cifar10", model="conv3", train_data=str(source)), 32)
    drawn = real.draw(2, seed=0)
    assert drawn.images.shape == (20, 32, 32, 3)
    originals = {pixels(100 * label + number).tobytes(): label for label in range(10) for number in range(3)}
    assert [originals[image.tobytes()] for image in drawn.images] == drawn.labels.tolist()
    assert len(real.everything().labels) == 30


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (continual_learning, ("--steps", 1), "--steps must be numbers from 2 to 10"),
        (continual_learning, ("--steps", 11), "--steps must be numbers from 2 to 10"),
        (label_quality, ("--methods", "random"), "random images are always compared with"),
        (label_quality, ("--losses", "gift"), "--losses must hold ce"),
        (label_quality, ("--lrs-weight", 2), "--lrs-weight must be from 0 to 1, not 2"),
        (label_quality, ("--ars-weight", -1), "--ars-weight must be from 0 to 1, not -1"),
    ],
)
def test_mistakes_are_one_sentence(module, options, message, command, tmp_path):
    save_teacher(tmp_path / "teacher", INFO, *make_variables())
    status, _, err = command(module, "--out", tmp_path, "--ipc", 2, *options)
    last = err.strip().splitlines()[-1]
    assert (status, last[:7]) == (2, "error: ")
    assert message in last
    assert not list(tmp_path.glob("results*"))


def test_random_images_need_a_teacher():
    with pytest.raises(GiftError, match="random images need a teacher"):
        label_quality.with_random(LabelQuality(), materials()._replace(teacher=None), load_real(LabelQuality(), 8))


def test_every_seed_has_its_own_draw_under_one_name():
    config = LabelQuality(methods=("rded",), losses=("ce", "gift"), seeds=2, ipc=3, real_epochs=0)
    real = load_real(config, 8)
    whole = label_quality.with_random(config, materials(), real)
    cells = label_quality.make_cells(config, whole)
    assert len(cells) == 2 * 2 * 2 * 2
    drawn = [cell for cell in cells if cell.labels == {"images": "random", "loss": "gift", "augmentation": "none"}]
    assert [cell.seed for cell in drawn] == [0, 1]
    for cell in drawn:
        assert cell.recipe.augment == "none"
        np.testing.assert_array_equal(cell.distilled.images, real.draw(3, cell.seed).images)
    assert label_quality.make_real_cells(config, whole, real) == []


def test_real_training_images_that_are_missing_are_asked_for():
    with pytest.raises(GiftError, match="--train-data"):
        load_real(LabelQuality(dataset="cifar10", model="conv3"), 32)
