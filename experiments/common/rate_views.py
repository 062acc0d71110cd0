"""Losses in three views: at the default learning rate, at the rate that validation images choose, over all rates.

A view is rows again, one for each loss, column (optimizer or student) and seed, so that all are treated alike.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gift_jax.data.evaluation import DIGITS
from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Block, Section, Table
from gift_jax.reports.summary import ACCURACY, SUBJECT, TESTED, TITLE, differences, listing, what_was_run
from gift_jax.reports.tables import Grid, arranged, figure, grid_table, in_order, make_grid, name_on

from .guessing import guessing
from .reporting import Row, curves, only


class View(NamedTuple):
    """A heading, a short name, how rates are chosen, and its rows: labels of loss and column, a seed, an accuracy.

    chosen: the rate of each loss and column, where rates are chosen.
    """

    title: str
    name: str
    about: str
    rows: list[Row]
    chosen: Mapping[tuple[str, str], str] = {}  # never written to


def by_pair(rows: Sequence[Row], column: str) -> dict[tuple[str, str], list[Row]]:
    """Rows by (loss, column)."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[name_on(row, "loss"), name_on(row, column)].append(row)
    return groups


def rates_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The multiples of the default learning rate, ascending."""
    return in_order(name_on(row, "rate") for row in rows)


def chosen_rates(
    rows: Sequence[Row], chance: float, column: str, value: str = "validation_top1"
) -> dict[tuple[str, str], str]:
    """For each loss and column the rate of the best mean validation accuracy; of equal ones the lower."""
    chosen = {}
    for pair, runs in by_pair(rows, column).items():
        rates = rates_of(runs)
        means = [np.mean([figure(run, chance, value) for run in only(runs, rate=rate)]) for rate in rates]
        chosen[pair] = rates[int(np.argmax(means))]
    return chosen


def at_chosen(rows: Sequence[Row], chance: float, column: str) -> View:
    """The rate that validation images choose."""
    names = ("At the rate chosen on validation images", "chosen rate")
    if not all("failed" in row or "validation_top1" in row for row in rows):
        about = "No rate was chosen: there are no validation images (--train-data), and test images must not choose."
        return View(*names, about, [])
    chosen, rates = chosen_rates(rows, chance, column), rates_of(rows)
    edges = sum(rate in (rates[0], rates[-1]) for rate in chosen.values())
    wider = "; give more `--rates` beyond it, for the best ones may lie there" if edges else ""
    # Sets of other datasets may be made from all training images.
    datasets = {row["dataset"] for row in rows if "dataset" in row}
    unseen = " that no set is made from" if datasets == {DIGITS} else ""
    about = (
        f"Each loss has, for each {column}, the rate of the best mean accuracy on validation images: real training "
        f"images{unseen}, never test images. Rates are {', '.join(rates)} times the default; choices at an end of this "
        f"grid: {edges} of {len(chosen)}{wider}."
    )
    kept = [run for pair, runs in by_pair(rows, column).items() for run in only(runs, rate=chosen[pair])]
    return View(*names, about, kept, chosen)


def chosen_table(view: View, grid: Grid) -> Table:
    """The rate that was chosen for each loss and column of a grid."""
    body = [[f"`{row}`", *(view.chosen.get((row, column), "-") for column in grid.columns)] for row in grid.rows]
    return Table([["rate, times the default", *grid.columns], *body])


def over_rates(rows: Sequence[Row], chance: float, column: str) -> View:
    """Each seed's mean accuracy over all rates, of those that ran at all of them."""
    means, rates = [], rates_of(rows)
    for (loss, name), runs in by_pair(rows, column).items():
        for seed in sorted({run["seed"] for run in runs}):
            found = [run for run in runs if run["seed"] == seed]
            if rates_of(found) == rates:
                top1 = statistics.fmean(figure(run, chance) for run in found)
                means.append({"labels": {"loss": loss, column: name}, "seed": seed, "top1_last": top1})
    return View("Mean over all learning rates", "mean over rates", "Each seed's mean over all rates.", means)


def make_sections(rows: Sequence[Row], column: str) -> list[Section]:
    """The summary, the views, and curves. Args: column, of the tables."""
    chance = guessing(rows)
    about = "The optimizer's standard default, fixed beforehand."
    default = View("At the default learning rate", "default rate", about, only(rows, rate="1"))
    views = in_one_order([default, at_chosen(rows, chance, column), over_rates(rows, chance, column)], chance, column)
    sections = [summary(rows, [view for view in views if view.rows], chance, column)]
    for view in views:
        blocks: list[Block] = [view.about]
        if view.rows:
            grid = make_grid(view.rows, "loss", column, guessing=chance)
            tests = differences(view.rows, "loss", column, SUBJECT, guessing=chance)
            blocks += [grid_table(grid, "loss"), *([chosen_table(view, grid)] if view.chosen else []), *tests]
        sections.append(Section(view.title, blocks, folded=bool(view.rows)))
    panels = pictures.panels_by(rows, column, "loss", "rate", chance)
    xlabel, first = "learning rate, times the default", name_on(rows[0], column)
    drawn = pictures.lines("rates", panels, xlabel, "Accuracy by learning rate", scale="log")
    return [
        *sections,
        Section("Accuracy by learning rate", [drawn], folded=True),
        *curves(only(rows, rate="1", **{column: first}), "loss", f"{column.capitalize()}: {first}"),
    ]


def in_one_order(views: Sequence[View], chance: float, column: str) -> list[View]:
    """The views with the losses best first, by their means over the columns at the chosen rate, or else the default."""
    default, chosen, _ = views
    means = make_grid(significance.means_over(chosen.rows or default.rows, "loss", column, chance), "loss", column)
    order = sorted(means.rows, key=lambda loss: -means.cell(loss, "mean").mean)
    return [view._replace(rows=arranged(view.rows, "loss", order)) for view in views]


def summary(rows: Sequence[Row], views: Sequence[View], chance: float, column: str) -> Section:
    """Each seed's mean over the columns in every view, the subject's differences in it, and the worst column."""
    grids = {view.name: make_grid(view.rows, "loss", column, guessing=chance) for view in views}
    means = [
        {**row, "labels": {"loss": name_on(row, "loss"), "view": view.name}}
        for view in views
        for row in significance.means_over(view.rows, "loss", column, chance)
    ]
    joined = make_grid(means, "loss", "view")
    tests = significance.compare(means, row="loss", column="view", subject=SUBJECT)
    losses = dict.fromkeys(row for grid in grids.values() for row in grid.rows)
    count = joined.n if joined.cells else "n = 0"
    header = [f"loss ({count})", *(f"{name}, {kind}" for name in grids for kind in ("mean", "worst"))]
    body = [
        [f"`{loss}`"] + [str(cell) for name in grids for cell in (joined.cell(loss, name), grids[name].worst(loss))]
        for loss in losses
    ]
    blocks: list[Block] = [about := what_was_run(rows)]
    if joined.cells:
        title = f"Accuracy, mean over all {column}s"
        blocks += [pictures.points("summary", {"": joined}, title, about=about, references={"guessing": chance})]
    if tests:
        blocks += [listing(tests, SUBJECT)]
    note = f"{ACCURACY} Means are of each seed's mean over all {column}s; worst is the {column} of the lowest mean."
    return Section(TITLE, [*blocks, Table([header, *body]), f"{note} {TESTED}"])
