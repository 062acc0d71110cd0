"""The report of evaluations, which belong to no study: a row for each setting, named by what differs."""

from collections.abc import Mapping, Sequence

from gift_jax.reports import pictures
from gift_jax.reports.page import Section, Table
from gift_jax.reports.summary import ACCURACY, SUBJECT, TESTED, TITLE, differences, what_was_run
from gift_jax.reports.tables import differing, fact_text, facts, known_text, make_grid

from .guessing import guessing
from .reporting import Row, fold

NAME = "evaluations"
FIELDS = ("loss", "optimizer", "epochs")  # of a row, which say what these facts of its recipe say
SAID = ("recipe.loss", "recipe.optimizer.name", "recipe.epochs")
# What others tell as a rule; where they do not, `names_apart` names it.
FOLLOWING = ("student.name", "distilled.teacher_sha256", "distilled.identity")


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """A row a setting with its seeds, and losses compared with all else equal."""
    placed, chance, about = by_what_differs(rows), guessing(rows), what_was_run(rows)
    last, best, top5 = (
        make_grid(placed, "loss", "setting", value, chance) for value in ("top1_last", "top1_best", "top5_last")
    )
    body = [
        [f"`{loss}`", setting, str(last.cell(loss, setting).n)]
        + [str(grid.cell(loss, setting)) for grid in (last, best, top5)]
        for loss, setting in last.cells
    ]
    options = {"about": about, "references": {"guessing": chance}, "sideways": True}
    picture = pictures.points("summary", {"": last}, "Accuracy by setting", **options)
    table = Table([["loss", "setting", "n", "top-1, last", "top-1, best", "top-5, last"], *body])
    note = f"{ACCURACY} Best is of all evaluations on the test images, which flatters every run."
    tests = differences(placed, "loss", "setting", SUBJECT, guessing=chance)
    first = Section(TITLE, [*filter(None, [about]), picture, table, note])
    return [first, *fold("Differences", [TESTED, *tests] if tests else [])]


def by_what_differs(rows: Sequence[Row]) -> list[Row]:
    """The rows with labels: a loss with its options, and a setting, the optimizer and whatever else differs."""
    known = [{name: str(row[name]) for name in FIELDS if name in row} | facts(row) for row in rows]
    keys = [key for key in differing(known) if key not in (*SAID, *FOLLOWING, "loss", "optimizer")]
    options = [key for key in keys if key.startswith("recipe.loss")]
    others = [key for key in keys if key not in options]
    return [
        {**row, "labels": {"loss": _named(own, "loss", options), "setting": _named(own, "optimizer", others)}}
        for row, own in zip(rows, known, strict=True)
    ]


def _named(own: Mapping[str, str], first: str, keys: Sequence[str]) -> str:
    return ", ".join([own[first], *(fact_text(key, known_text(own, key)) for key in keys)])
