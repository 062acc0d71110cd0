"""What a report begins with: what was run, a picture, the subject's differences to all others, and a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gift_jax.recipes.recipe import official_batch_size
from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Block, Picture, Section
from gift_jax.reports.tables import SPREAD, grid_table, make_grid, name_on

TITLE = "Summary"
SUBJECT = "gift"
ACCURACY = f"Top-1 accuracy after the last epoch, %, {SPREAD}."
TESTED = "paired by seed, with 95 % intervals; p of two-sided t-tests, corrected by Holm."
SHORT = 4  # names of a kind that are listed; of more their number is given

Result = Mapping[str, Any]


def what_was_run(rows: Sequence[Result]) -> str:
    """Dataset, set, teacher, student, steps, optimizers and seeds in one line; "" if no run finished.

    Runs without a teacher are left out if others have one.
    """
    finished = [row for row in rows if "recipe" in row and "dataset" in row]
    found = [row for row in finished if row.get("teacher")] or finished
    if not found:
        return ""
    top1 = {row["teacher_top1"] for row in found if row.get("teacher_top1") is not None}
    teacher = _listed((row["teacher"] for row in found if row.get("teacher")), "teacher") or "no teacher"
    ipc = _range(row["ipc"] for row in found)
    parts = [
        _listed((row["dataset"] for row in found), ""),
        f"{_listed((row['method'] for row in found), 'set')}, {ipc} image{'s' * (ipc != '1')} per class",
        teacher + (f" ({top1.pop():.1f} %)" if len(top1) == 1 else ""),
        _listed((row.get("labels", {}).get("student", row["model"]) for row in found), "student"),
        f"{_range(steps(row) for row in found)} steps",
        _listed((name_on(row, "optimizer") for row in found), "optimizer"),
        f"{len(seeds := {row['seed'] for row in found})} seed{'s' * (len(seeds) > 1)}",
    ]
    return " · ".join(parts)


def steps(row: Result) -> int:
    """Optimizer steps of a run."""
    recipe, images = row["recipe"], row.get("num_images") or row["ipc"] * row["student"]["num_classes"]
    each = -(-images // (recipe["batch_size"] or official_batch_size(images)))
    return int(recipe["epochs"] * min(each, recipe["max_steps"] or each))


def _listed(names: Iterable[str], noun: str) -> str:
    """`conv2 student`, or `11 optimizers`."""
    found = [*dict.fromkeys(names)]
    plural = noun + "s" * bool(noun and len(found) > 1)
    text = ", ".join(map(pictures.display, found)) if len(found) <= SHORT else str(len(found))
    return f"{text} {plural}".strip() if found else ""


def _range(numbers: Iterable[int]) -> str:
    found = [*numbers]
    low, high = min(found), max(found)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def listing(lines: Sequence[str]) -> str:
    """Lines of fixed form, as they are."""
    return "\n".join(["```", *lines, "```"])


def mean_differences(
    rows: Sequence[Result], row: str, column: str, subject: str, *, guessing: float = 0.0
) -> list[Block]:
    """A line for each name that the subject is compared with, of each seed's mean over the columns; nothing alone."""
    means = significance.means_over(rows, row, column, guessing)
    tests = significance.compare(means, row=row, column=column, subject=subject)
    if not tests:
        return []
    about = f"Means over all columns, {TESTED}"
    return [about, listing([significance.line(test, subject) for test in tests])]


def differences(rows: Sequence[Result], row: str, column: str, subject: str, *, guessing: float = 0.0) -> list[Block]:
    """The subject's difference to every other name in every column as a table, and over the columns as a sample."""
    tests = significance.compare(rows, row=row, column=column, subject=subject, guessing=guessing)
    if not tests:
        return []
    about = f"Percentage points, {TESTED} d is the mean difference in standard deviations of the differences."
    table = significance.comparison_table(tests, column, subject)
    across: list[Block] = [*significance.across_table(tests, column, subject)]
    if across:
        across = [f"The {column}s as a sample, by signed ranks of mean differences.", *across]
    return [about, table, *across]


def summary(
    rows: Sequence[Result],
    *,
    row: str,
    column: str,
    subject: str,
    guessing: float,
    picture: Picture | None = None,
    about: str = "",
    note: str = ACCURACY,
    worst: str | None = "worst",
) -> Section:
    """The section that a report begins with, for results that are compared as `significance.compare` says.

    Args:
        picture: another picture than points.
        about: what was run, if not all of the rows say it.
        note: what the figures are.
        worst: heading of the table's last column; None for none.
    """
    grid, about = make_grid(rows, row, column, guessing=guessing), about or what_was_run(rows)
    title, references = f"Accuracy by {row} and {column}", {"guessing": guessing}
    drawn = picture or pictures.points("summary", {"": grid}, title, about=about, references=references)
    lines = mean_differences(rows, row, column, subject, guessing=guessing)
    return Section(TITLE, [*filter(None, [about]), drawn, *lines, grid_table(grid, row, worst=worst), note])


def best_evaluations(
    rows: Sequence[Result], row: str, column: str, *, guessing: float, worst: str | None = "worst"
) -> list[Section]:
    """The best of all evaluations on test images, which the official code reports; nothing if it is not known."""
    finished = [found for found in rows if "failed" not in found]
    if not finished or not all("top1_best" in found and "history" in found for found in finished):
        return []
    count = _range(len(found["history"]) for found in finished)
    about = (
        f"The best of {count} evaluations on the test images, as the official code reports, %, {SPREAD}. It flatters "
        "every run."
    )
    grid = make_grid(rows, row, column, "top1_best", guessing)
    return [Section("Best of all evaluations", [about, grid_table(grid, row, worst=worst)], folded=True)]
