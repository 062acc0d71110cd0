"""What a report begins with: what was run, a picture, the subject's differences to all others, and a table."""

from collections.abc import Iterable, Sequence

from gift_jax.recipes.recipe import official_batch_size
from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Picture, Section, Table
from gift_jax.reports.tables import SPREAD, Result, grid_table, make_grid, name_on

TITLE = "Summary"
SUBJECT = "gift"
ACCURACY = f"Top-1 accuracy after the last epoch, %, {SPREAD}."
TESTED = (
    "Differences are in points, paired by seed, with 95 % intervals, which are not corrected; p of two-sided t-tests, "
    "corrected by Holm (* below 0.05)."
)
SHORT = 4  # names of a kind that are listed; of more their number is given


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


def listing(comparisons: Sequence[significance.Comparison], subject: str) -> str:
    """A line of fixed form for each comparison."""
    return "\n".join(["```", *(significance.line(test, subject) for test in comparisons), "```"])


def differences(rows: Sequence[Result], row: str, column: str, subject: str, *, guessing: float = 0.0) -> list[Table]:
    """The subject's difference to every other name in every column, as a table; nothing alone."""
    tests = significance.compare(rows, row=row, column=column, subject=subject, guessing=guessing)
    return [significance.difference_table(tests, subject)] if tests else []


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
    worst: bool = False,
) -> Section:
    """The section that a report begins with, for results that are compared as `significance.compare` says.

    Args:
        picture: another picture than points.
        about: what was run, if not all of the rows say it.
        note: what the figures are.
        worst: whether the table ends with each row's worst column.
    """
    grid, about = make_grid(rows, row, column, guessing=guessing), about or what_was_run(rows)
    title, references = f"Accuracy by {row} and {column}", {"guessing": guessing}
    drawn = picture or pictures.points("summary", {"": grid}, title, about=about, references=references)
    means = significance.means_over(rows, row, column, guessing)
    tests = significance.compare(means, row=row, column=column, subject=subject)
    lines = [listing(tests, subject)] if tests else []
    if tests:
        note = f"{note} {TESTED} The lines compare means over all columns."
    return Section(TITLE, [*filter(None, [about]), drawn, *lines, grid_table(grid, row, worst=worst), note])


def best_evaluations(rows: Sequence[Result], row: str, column: str, *, guessing: float) -> list[Section]:
    """The best of all evaluations on test images, which the official code reports; nothing if it is not known."""
    finished = [found for found in rows if "failed" not in found]
    if not finished or not all("top1_best" in found and "history" in found for found in finished):
        return []
    count = _range(len(found["history"]) for found in finished)
    about = (
        f"The best of {count} evaluations on the test images, as the official code reports, %, {SPREAD}; it flatters "
        "every run."
    )
    table = grid_table(make_grid(rows, row, column, "top1_best", guessing), row)
    return [Section("Best of all evaluations", [about, table], folded=True)]
