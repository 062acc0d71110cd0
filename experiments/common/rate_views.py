"""Losses in three views: at the customary learning rate, at the rate that validation chooses, over all rates.

A view is rows again, one for each loss, column (optimizer or student) and seed, so that all are treated alike: a table
with the worst column, paired tests, words.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gift_jax.reports import answer, pictures, significance
from gift_jax.reports.page import Block, Section
from gift_jax.reports.tables import Grid, counts, describe, make_grid, markdown_table, name_on

from .reporting import SPREAD, Row, curves, guessing, only, table

SUBJECT = "gift"


class View(NamedTuple):
    """A heading, a short name and a phrase for sentences, what it shows, and its rows: labels of loss and column, a
    seed, an accuracy."""

    title: str
    name: str
    phrase: str
    about: str
    rows: list[Row]


def figure(row: Row, chance: float, name: str = "top1_last") -> float:
    """A run's accuracy, of a diverged one that of guessing."""
    return chance if "failed" in row else row[name]


def by_pair(rows: Sequence[Row], column: str) -> dict[tuple[str, str], list[Row]]:
    """Rows by (loss, column)."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[name_on(row, "loss"), name_on(row, column)].append(row)
    return groups


def at_customary(rows: Sequence[Row]) -> View:
    """The customary rate, fixed beforehand."""
    about = "The learning rate is the optimizer's customary one, fixed beforehand."
    return View(
        "At the customary learning rate", "customary rate", "at the customary rate", about, only(rows, rate="1")
    )


def chosen_rates(
    rows: Sequence[Row], chance: float, column: str, value: str = "validation_top1"
) -> dict[tuple[str, str], str]:
    """For each loss and column the rate of the best mean validation accuracy; of equal ones the lower."""
    chosen = {}
    for pair, runs in by_pair(rows, column).items():
        rates = sorted({name_on(run, "rate") for run in runs}, key=float)
        means = [np.mean([figure(run, chance, value) for run in only(runs, rate=rate)]) for rate in rates]
        chosen[pair] = rates[int(np.argmax(means))]
    return chosen


def at_chosen(rows: Sequence[Row], chance: float, column: str) -> View:
    """The rate that validation images choose."""
    names = ("At the best learning rate", "validated rate", "at the validated rate")
    if not all("failed" in row or "validation_top1" in row for row in rows):
        about = "No rate was chosen: there are no training images (--train-data), and test images must not choose."
        return View(*names, about, [])
    chosen = chosen_rates(rows, chance, column)
    rates = sorted({name_on(row, "rate") for row in rows}, key=float)
    edges = sum(rate in (rates[0], rates[-1]) for rate in chosen.values())
    about = (
        f"Each loss has, for each {column}, the rate of the best mean accuracy on real training images that no set is "
        f"made from. The grid is {', '.join(rates)} times the customary rate; {edges} of {len(chosen)} choices are at "
        "an end of it, so a wider grid may do better."
    )
    kept = [run for pair, runs in by_pair(rows, column).items() for run in only(runs, rate=chosen[pair])]
    return View(*names, about, kept)


def over_rates(rows: Sequence[Row], chance: float, column: str) -> View:
    """The area over the rate grid: each seed's mean accuracy over all rates."""
    means = []
    for (loss, name), runs in by_pair(rows, column).items():
        for seed in sorted({run["seed"] for run in runs}):
            figures = [figure(run, chance) for run in runs if run["seed"] == seed]
            labels = {"loss": loss, column: name}
            means.append({"labels": labels, "seed": seed, "top1_last": statistics.fmean(figures)})
    about = "Accuracy is the mean over all rates of the grid."
    return View("Over all learning rates", "all rates", "over all rates", about, means)


def over_columns(view: View, chance: float, column: str) -> list[Row]:
    """Rows by loss and view: each seed's mean accuracy over all columns that the seed has."""
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in view.rows:
        groups[name_on(row, "loss"), row["seed"]].append(figure(row, chance))
    return [
        {"labels": {"loss": loss, "view": view.name}, "seed": seed, "top1_last": statistics.fmean(found)}
        for (loss, seed), found in groups.items()
    ]


def make_sections(rows: Sequence[Row], column: str) -> list[Section]:
    """The answer, what remains of the lead in each view, the views, and curves. Args: column, of the tables."""
    chance = guessing(rows)
    views = [at_customary(rows), at_chosen(rows, chance, column), over_rates(rows, chance, column)]
    shown = [view for view in views if view.rows]
    grids = {view.title: make_grid(view.rows, "loss", column, guessing=chance) for view in shown}
    sections = [answer_section(shown, grids, chance, column), remains(grids, column)]
    for number, view in enumerate(views):
        blocks = view_blocks(view, grids[view.title], f"view_{number}", chance, column) if view.rows else []
        sections.append(Section(view.title, [view.about, *blocks], folded=bool(view.rows)))
    drawn = pictures.panels("rates", rows, panel=column, line="loss", x="rate", guessing=chance)
    first = next(iter(grids.values())).columns[0]
    return [
        *sections,
        Section("Accuracy by learning rate", [drawn], folded=True),
        *curves(only(rows, rate="1", **{column: first}), "loss", f"{column.capitalize()} {first}"),
    ]


def answer_section(views: Sequence[View], grids: Mapping[str, Grid], chance: float, column: str) -> Section:
    """Mean accuracy over columns in each view; the tests are of single columns, at validated rates if there are any."""
    joined = make_grid([row for view in views for row in over_columns(view, chance, column)], "loss", "view")
    fair = next((view for view in views if view.name == "validated rate"), views[0])
    tests = significance.compare(fair.rows, row="loss", column=column, subject=SUBJECT, guessing=chance)
    count = len(grids[fair.title].columns)
    over = f"mean over {count} {column}s" if count > 1 else "mean"
    words = answer.Words(_PREPOSITIONS[column], f"{column}s", {view.name: view.phrase for view in views})
    text = answer.sentences(joined, tests, SUBJECT, words, over, f"{fair.phrase.capitalize()}, ")
    title = f"Top-1 accuracy, {over}"
    order = sorted(joined.rows, key=lambda loss: -joined.cells[loss, fair.name].mean)
    header = [f"loss ({counts(joined)})", *(f"{view.name}, {kind}" for view in views for kind in ("mean", "worst"))]
    body = [
        [f"`{loss}`"]
        + [str(cell) for view in views for cell in (joined.cells[loss, view.name], grids[view.title].worst(loss))]
        for loss in order
    ]
    picture = pictures.points("answer", joined, title)
    note = (
        f"Top-1 accuracy after the last epoch, %, {SPREAD}: over the seeds' means over all {column}s, and of the worst "
        f"{column}. The customary rate is fixed beforehand; the validated one is chosen for each loss and {column} on "
        "real training images that no set is made from, never on test images."
    )
    return answer.section(picture, text, markdown_table([header, *body]), note)


_PREPOSITIONS = {"optimizer": "under", "student": "for"}


def view_blocks(view: View, grid: Grid, name: str, chance: float, column: str) -> list[Block]:
    """A view's table, picture, words and tests."""
    tests = significance.compare(view.rows, row="loss", column=column, subject=SUBJECT, guessing=chance)
    words = [describe(grid, SUBJECT), *significance.blocks(tests, column, SUBJECT)] if tests else []
    picture = pictures.heat_map(name, grid, f"{view.title}: top-1 accuracy, %")
    return [f"Top-1 accuracy after the last epoch, %, {SPREAD}.", table(grid, "loss"), picture, *words]


def remains(grids: Mapping[str, Grid], column: str) -> Section:
    """The subject's lead over every other loss in each view: of means, worst cases and medians over columns."""
    about = (
        f"Percentage points by which `{SUBJECT}` is ahead of each loss (behind it if negative), over all {column}s: "
        "the difference of means, of worst cases, and the median of differences."
    )
    found = {title: grid for title, grid in grids.items() if SUBJECT in grid.rows and len(grid.rows) > 1}
    if not found:
        return Section("What remains of the advantage", [f"`{SUBJECT}` was not compared with another loss."])
    others = [loss for loss in next(iter(found.values())).rows if loss != SUBJECT]
    body = [
        [f"{title}: {kind}", *(f"{lead_over(grid, loss):+.1f}" for loss in others)]
        for title, grid in found.items()
        for kind, lead_over in _LEADS.items()
    ]
    text = markdown_table([["lead over", *(f"`{loss}`" for loss in others)], *body])
    return Section("What remains of the advantage", [about, text])


def _mean(grid: Grid, loss: str) -> float:
    return statistics.fmean(grid.cells[loss, column].mean for column in grid.columns)


def _worst_lead(grid: Grid, loss: str) -> float:
    return grid.worst(SUBJECT).mean - grid.worst(loss).mean


def _mean_lead(grid: Grid, loss: str) -> float:
    return _mean(grid, SUBJECT) - _mean(grid, loss)


def _median_lead(grid: Grid, loss: str) -> float:
    return statistics.median(
        grid.cells[SUBJECT, column].mean - grid.cells[loss, column].mean for column in grid.columns
    )


_LEADS = {"mean": _mean_lead, "worst case": _worst_lead, "median difference": _median_lead}
