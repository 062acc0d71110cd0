"""What is reported of class-incremental learning: accuracy by classes seen, its average, and forgetting."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gift_jax.data.datasets import get_dataset
from gift_jax.reports import answer, pictures, significance
from gift_jax.reports.page import Picture, Section
from gift_jax.reports.tables import Grid, describe, make_grid

from ..common.reporting import SPREAD, Row, curves, grid_of, only, table
from .class_steps import average_accuracy, class_steps, forgetting

SUBJECT = "gift"

PROTOCOL = (
    "As in GIFT, one teacher knows all classes and one set is distilled under it. Each seed has its own order "
    "of classes. After each step a new student learns the distilled images of all classes seen and is tested on their "
    "test images. Teacher and student have outputs for the classes seen only. Earlier work (DSA, DM, IDC) has no "
    "teacher, whereas this teacher and set know classes before they come: figures are not comparable. A student "
    "depends only on the classes seen, so sequences of different length share students. A step with a single class "
    "counts as 100 % without training. All steps have the same number of epochs, so small memories take fewer "
    "optimizer steps."
)


def stage_name(step: int, steps: int) -> str:
    """A step's name along the study's axis."""
    return f"step {step} of {steps}"


class Point(NamedTuple):
    """Accuracy in percent after a step: on the classes seen (last and best look), and on each step's classes."""

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
    whole = {key: points for key, points in found.items() if len(points) == key.steps}
    return {key: [points[step] for step in sorted(points)] for key, points in whole.items()}


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
        _row(key, "classes", str(point.classes), top1_last=point.last, top1_best=point.best)
        for key, points in sequences.items()
        if key.steps == steps
        for point in points
    ]


def sequence_rows(sequences: Mapping[Key, Sequence[Point]]) -> list[dict[str, Any]]:
    """A row a sequence: average incremental accuracy, by last and by best look, and forgetting."""
    rows = []
    for key, points in sequences.items():
        last, best = (average_accuracy([getattr(point, look) for point in points]) for look in ("last", "best"))
        forgot = forgetting([point.tasks for point in points])
        rows.append(_row(key, "sequence", f"{key.steps} steps", top1_last=last, top1_best=best, forgetting=forgot))
    return rows


def _row(key: Key, axis: str, name: str, **figures: float) -> dict[str, Any]:
    return {"labels": {"loss": key.loss, axis: name}, "seed": key.seed, **figures}


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """Curves and tables by number of classes seen, averages, forgetting, and what of it is more than noise."""
    if not any("dataset" in row for row in rows):
        return [Section("Protocol", [PROTOCOL, "No student finished."])]
    sequences = read_sequences(rows)
    lengths = sorted({key.steps for key in sequences})
    grids = {f"{n} steps": make_grid(accuracy_rows(sequences, n), "loss", "classes") for n in lengths}
    grids = {title: ordered(grid) for title, grid in grids.items()}
    if not grids:
        return [Section("Protocol", [PROTOCOL, "No sequence of steps is complete."])]
    picture = pictures.lines("accuracy_by_classes", grids, "classes seen", "Accuracy on the classes seen")
    summaries = sequence_rows(sequences)
    sections = [answer_section(summaries, picture), Section("Protocol", [PROTOCOL])]
    about = f"Top-1 accuracy on the classes seen, after the last epoch, by their number, %, {SPREAD}."
    for title, grid in grids.items():
        own = accuracy_rows(sequences, int(title.split()[0]))
        compared = significance.compare(own, row="loss", column="classes", subject=SUBJECT)
        named = [comparison._replace(column=f"{comparison.column} classes") for comparison in compared]
        words = [significance.in_words(named, SUBJECT)] if named else []
        sections.append(Section(f"In {title}", [about, table(grid, "loss", worst=None), *words], folded=True))
    last = max(rows, key=lambda row: len(row.get("by_class", ())))["labels"]["stage"]
    drawn = curves(only(rows, stage=last), "loss", "With all classes")
    return [*sections, averages(summaries), forgettings(summaries), *drawn]


def answer_section(summaries: Sequence[Row], picture: Picture) -> Section:
    """Average incremental accuracy by loss and number of steps. Args: picture, accuracy by classes seen."""
    grid = make_grid(summaries, "loss", "sequence")
    compared = significance.compare(summaries, row="loss", column="sequence", subject=SUBJECT)
    text = answer.sentences(grid, compared, SUBJECT, answer.Words("in", "sequences"), "average incremental accuracy")
    return answer.section(picture, text, table(grid, "loss"), ABOUT_AVERAGES)


ABOUT_AVERAGES = (
    "Average incremental accuracy: mean over steps of the accuracy on the classes seen, after the last epoch, %, "
    f"{SPREAD} over seeds."
)


def ordered(grid: Grid) -> Grid:
    """The grid with columns by number."""
    return grid_of(
        {(row, column): grid.cells[row, column] for row in grid.rows for column in sorted(grid.columns, key=int)}
    )


def averages(summaries: Sequence[Row]) -> Section:
    """Average incremental accuracy in words and tests, and by the best look."""
    grid, best = (make_grid(summaries, "loss", "sequence", look) for look in ("top1_last", "top1_best"))
    compared = significance.compare(summaries, row="loss", column="sequence", subject=SUBJECT)
    words = [describe(grid, SUBJECT), *significance.blocks(compared, "sequence", SUBJECT)] if compared else []
    flattered = "The same from each student's best look at the test images, which flatters every loss:"
    return Section("Average incremental accuracy", [*words, flattered, table(best, "loss")], folded=True)


def forgettings(summaries: Sequence[Row]) -> Section:
    """Forgetting by loss and number of steps, in words too."""
    grid = make_grid(summaries, "loss", "sequence", "forgetting")
    about = (
        "Best earlier minus final accuracy on the classes of each step but the last, mean over steps, in percentage "
        f"points, {SPREAD} (Chaudhry et al., 2018). Students are trained anew after each step, so no old weights are "
        "lost: there are more classes to confuse."
    )
    return Section("Forgetting (less is better)", [about, table(grid, "loss", worst=None), _least(grid)], folded=True)


def _least(grid: Grid) -> str:
    """In words, which loss forgets least and most in each number of steps, and the subject's place."""
    sentences = []
    for column in grid.columns:
        order = sorted(grid.rows, key=lambda row: grid.cells[row, column].mean)
        first, last = (f"`{row}` ({grid.cells[row, column].mean:.1f})" for row in (order[0], order[-1]))
        own = f"; `{SUBJECT}` is in place {order.index(SUBJECT) + 1} of {len(order)}" if SUBJECT in order else ""
        sentences.append(f"In {column}, {first} forgets least and {last} most by mean{own}.")
    return " ".join(sentences)
