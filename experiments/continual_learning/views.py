"""What is reported of class-incremental learning: accuracy by classes seen, its average, and forgetting."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gift_jax.data.datasets import get_dataset
from gift_jax.reports import pictures
from gift_jax.reports.page import Section
from gift_jax.reports.summary import SUBJECT, TITLE, differences, summary, what_was_run
from gift_jax.reports.tables import SPREAD, grid_table, make_grid

from ..common.reporting import Row, curves, fold, only
from .subset import class_steps

PROTOCOL = (
    "As in GIFT, one teacher knows all classes and one set is distilled under it. Each seed has its own order of "
    "classes. After each step a new student learns the distilled images of all classes seen and is tested on their "
    "test images; teacher and student have outputs for these classes only. Earlier work (DSA, DM, IDC) has no teacher, "
    "whereas this teacher and set know classes before they come: figures are not comparable. Sequences of different "
    "length share students. A step with a single class counts as 100 % without training. All steps have the same "
    "number of epochs, so small memories take fewer optimizer steps."
)


def stage_name(step: int, steps: int) -> str:
    """A step's name along the study's axis."""
    return f"step {step} of {steps}"


def forgetting(accuracies: Sequence[Sequence[float]]) -> float:
    """How far accuracy on earlier tasks fell: the mean over tasks but the last of (best earlier - final) accuracy.

    Args: accuracies, row k of which holds, after step k, the accuracy on each of the tasks 0..k, two at least; a task
    is the classes of one step. Returns: in the accuracies' unit, negative if earlier tasks gained.
    Reference: Chaudhry et al. (2018), Riemannian Walk for Incremental Learning, section 3.3.
    """
    *earlier, final = accuracies
    falls = [max(row[task] for row in earlier[task:]) - final[task] for task in range(len(earlier))]
    return float(np.mean(falls))


class Point(NamedTuple):
    """Accuracy in percent after a step: on the classes seen (last and best evaluation), and on each step's classes."""

    classes: int
    last: float
    best: float
    tasks: tuple[float, ...]


class Key(NamedTuple):
    """A sequence of steps."""

    loss: str
    steps: int
    seed: int


def read_sequences(rows: Sequence[Row]) -> dict[Key, list[Point]]:
    """The points of every sequence of which no step is missing; a diverged student guesses."""
    finished = next(row for row in rows if "dataset" in row)
    num_classes = get_dataset(finished["dataset"]).num_classes
    found: dict[Key, dict[int, Point]] = defaultdict(dict)
    for row in rows:
        _, step, _, steps = row["labels"]["stage"].split()
        key = Key(row["labels"]["loss"], int(steps), row["seed"])
        found[key][int(step)] = _point(row, class_steps(num_classes, key.steps, key.seed)[: int(step)])
    for key, points in found.items():
        if len(class_steps(num_classes, key.steps, key.seed)[0]) == 1:
            points[1] = Point(1, 100.0, 100.0, (100.0,))
    whole = {key: sorted(points.items()) for key, points in found.items() if len(points) == key.steps}
    return {key: [point for _, point in points] for key, points in whole.items()}


def _point(row: Row, tasks: Sequence[Sequence[int]]) -> Point:
    classes = sum(map(len, tasks))
    if "failed" in row:
        guess = 100 / classes
        return Point(classes, guess, guess, (guess,) * len(tasks))
    counts = {label: (images, hits) for label, images, hits in row["by_class"]}
    shares = [[sum(counts[label][part] for label in task) for part in (1, 0)] for task in tasks]
    return Point(classes, row["top1_last"], row["top1_best"], tuple(100 * hits / images for hits, images in shares))


def accuracy_rows(sequences: Mapping[Key, Sequence[Point]], steps: int) -> list[dict[str, Any]]:
    """Rows by loss and number of classes seen, of the sequences of so many steps."""
    return [
        {"labels": {"loss": key.loss, "classes": str(point.classes)}, "seed": key.seed, "top1_last": point.last}
        for key, points in sequences.items()
        if key.steps == steps
        for point in points
    ]


def sequence_rows(sequences: Mapping[Key, Sequence[Point]]) -> list[dict[str, Any]]:
    """A row a sequence: average incremental accuracy, by last and by best evaluation, and forgetting.

    The average is of the accuracies on the classes seen, over the steps: Rebuffi et al. (2017), iCaRL, section 4.1.
    """
    rows = []
    for key, points in sequences.items():
        last, best = (float(np.mean([getattr(point, name) for point in points])) for name in ("last", "best"))
        labels = {"loss": key.loss, "sequence": f"{key.steps} steps"}
        figures = {"top1_last": last, "top1_best": best, "forgetting": forgetting([point.tasks for point in points])}
        rows.append({"labels": labels, "seed": key.seed, **figures})
    return rows


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """Averages and their differences, accuracies by number of classes seen, forgetting, and curves."""
    sequences = read_sequences(rows) if any("dataset" in row for row in rows) else {}
    if not sequences:
        return [Section(TITLE, [PROTOCOL, "No sequence of steps is complete."])]
    lengths = sorted({key.steps for key in sequences})
    grids = {f"{n} steps": make_grid(accuracy_rows(sequences, n), "loss", "classes") for n in lengths}
    panels = {name: pictures.grid_series(grid) for name, grid in grids.items()}
    title, about = "Accuracy on the classes seen", what_was_run(rows)
    picture = pictures.lines("accuracy_by_classes", panels, "classes seen", title, about=about)
    summaries = sequence_rows(sequences)
    axes = {"row": "loss", "column": "sequence", "guessing": 0.0}
    best = make_grid(summaries, "loss", "sequence", "top1_best")
    forgot = make_grid(summaries, "loss", "sequence", "forgetting")
    last = max(rows, key=lambda row: len(row.get("by_class", ())))["labels"]["stage"]
    return [
        summary(summaries, **axes, subject=SUBJECT, picture=picture, about=about, note=ABOUT_AVERAGES),
        Section("Protocol", [PROTOCOL]),
        *(Section(f"In {name}", [grid_table(grid, "loss by classes")], folded=True) for name, grid in grids.items()),
        *fold("Differences of averages", differences(summaries, "loss", "sequence", SUBJECT)),
        Section("Best of all evaluations", [ABOUT_BEST, grid_table(best, "loss")], folded=True),
        Section("Forgetting (less is better)", [ABOUT_FORGETTING, grid_table(forgot, "loss")], folded=True),
        *curves(only(rows, stage=last), "loss", "With all classes"),
    ]


ABOUT_AVERAGES = (
    "Average incremental accuracy: mean over steps of the accuracy on the classes seen, after the last epoch, %, "
    f"{SPREAD} over seeds."
)
ABOUT_BEST = "From each student's best evaluation on the test images, which flatters every loss."
ABOUT_FORGETTING = (
    "Best earlier minus final accuracy on the classes of each step but the last, mean over steps, in percentage points "
    "(Chaudhry et al., 2018). Students are trained anew after each step: no old weights are lost, but there are more "
    "classes to confuse."
)
