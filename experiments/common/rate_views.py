"""Losses in three views: at the customary learning rate, at the rate that validation chooses, over all rates.

Each view is rows again, one a loss, column (optimizer or student) and seed, so that one treatment does for all: a table
with the worst column, paired tests, words.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Section
from gift_jax.reports.tables import Grid, describe, make_grid, markdown_table, name_on

from .reporting import SPREAD, Row, guessing, only, table

SUBJECT = "gift"


class View(NamedTuple):
    """A heading, what it shows, and its rows: labels of loss and column, a seed, an accuracy."""

    title: str
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
    about = "At the learning rate that is customary for the optimizer, fixed beforehand."
    return View("At the customary learning rate", about, only(rows, rate="1"))


def chosen_rates(rows: Sequence[Row], chance: float, column: str) -> dict[tuple[str, str], str]:
    """For each loss and column the rate of the best mean validation accuracy; of equal ones the lower."""
    chosen = {}
    for pair, runs in by_pair(rows, column).items():
        rates = sorted({name_on(run, "rate") for run in runs}, key=float)
        means = [np.mean([figure(run, chance, "validation_top1") for run in only(runs, rate=rate)]) for rate in rates]
        chosen[pair] = rates[int(np.argmax(means))]
    return chosen


def at_chosen(rows: Sequence[Row], chance: float, column: str) -> View:
    """The rate that validation images choose."""
    title = "At the best learning rate"
    if not all("failed" in row or "validation_top1" in row for row in rows):
        about = "No rate was chosen: no training images are at hand (--train-data), and test images must not choose."
        return View(title, about, [])
    chosen = chosen_rates(rows, chance, column)
    rates = sorted({name_on(row, "rate") for row in rows}, key=float)
    edges = sum(rate in (rates[0], rates[-1]) for rate in chosen.values())
    about = (
        f"For each loss and {column} the rate with the best mean accuracy on real training images of which no set is "
        f"made (multiples {', '.join(rates)} of the customary one); {edges} of {len(chosen)} choices are at an end of "
        "that grid, so a wider one may do better."
    )
    kept = [run for pair, runs in by_pair(rows, column).items() for run in only(runs, rate=chosen[pair])]
    return View(title, about, kept)


def over_rates(rows: Sequence[Row], chance: float, column: str) -> View:
    """The area over the rate grid: each seed's mean accuracy over all rates."""
    means = []
    for (loss, name), runs in by_pair(rows, column).items():
        for seed in sorted({run["seed"] for run in runs}):
            figures = [figure(run, chance) for run in runs if run["seed"] == seed]
            labels = {"loss": loss, column: name}
            means.append({"labels": labels, "seed": seed, "top1_last": statistics.fmean(figures)})
    about = "The area over the grid of rates: mean accuracy over all its multiples of the customary rate."
    return View("Over all learning rates", about, means)


def make_sections(rows: Sequence[Row], column: str) -> list[Section]:
    """The three views, the summary before them, and the curves over rates after them. Args: column, of the tables."""
    chance = guessing(rows)
    views = [at_customary(rows), at_chosen(rows, chance, column), over_rates(rows, chance, column)]
    grids = {view.title: make_grid(view.rows, "loss", column, guessing=chance) for view in views if view.rows}
    sections = [Section("What remains of the advantage", [summary_table(grids), summary(grids, column)])]
    for number, view in enumerate(views):
        blocks = [view.about]
        if view.rows:
            grid = grids[view.title]
            heading = f"{view.title}: top-1 accuracy, %"
            tests = significance.compare(view.rows, row="loss", column=column, subject=SUBJECT, guessing=chance)
            words = [describe(grid, SUBJECT), *significance.blocks(tests, column, SUBJECT)] if tests else []
            picture = pictures.heat_map(f"view_{number}", grid, heading)
            blocks += [f"Top-1 accuracy after the last epoch, %, {SPREAD}.", table(grid, "loss"), picture, *words]
        sections.append(Section(view.title, blocks))
    drawn = pictures.panels("rates", rows, panel=column, line="loss", x="rate", guessing=chance)
    first = next(iter(grids.values())).columns[0]
    curves = pictures.curves(
        "curves", only(rows, rate="1", **{column: first}), "loss", f"{column.capitalize()} {first}"
    )
    return [*sections, Section("Accuracy by learning rate", [drawn]), Section("Training curves", [curves])]


def summary_table(grids: dict[str, Grid]) -> str:
    """Worst case and mean over columns of each loss in each view."""
    losses = next(iter(grids.values())).rows
    header = ["loss", *(f"{title.lower()}: {kind}" for title in grids for kind in ("worst", "mean"))]
    body = [
        [f"`{loss}`", *(f"{value:.1f}" for g in grids.values() for value in (g.worst(loss).mean, _mean(g, loss)))]
        for loss in losses
    ]
    return markdown_table([header, *body])


def _mean(grid: Grid, loss: str) -> float:
    return statistics.fmean(grid.cells[loss, column].mean for column in grid.columns)


def summary(grids: dict[str, Grid], column: str) -> str:
    """In words, the subject's lead over every other loss in each view: in the worst case, by mean and by median."""
    sentences = []
    for title, grid in grids.items():
        if SUBJECT not in grid.rows:
            continue
        kinds = (("worst case", _worst_lead), ("mean", _mean_lead), ("median difference", _median_lead))
        for kind, lead_over in kinds:
            leads = {loss: lead_over(grid, loss) for loss in grid.rows if loss != SUBJECT}
            named = ", ".join(f"{lead:+.1f} over `{loss}`" for loss, lead in leads.items())
            place = 1 + sum(lead < 0 for lead in leads.values())
            sentences.append(
                f"- {title}, {kind} over {len(grid.columns)} {column}s: `{SUBJECT}` is number {place} of "
                f"{len(grid.rows)} ({named} points)."
            )
    return "\n".join(sentences)


def _worst_lead(grid: Grid, loss: str) -> float:
    return grid.worst(SUBJECT).mean - grid.worst(loss).mean


def _mean_lead(grid: Grid, loss: str) -> float:
    return _mean(grid, SUBJECT) - _mean(grid, loss)


def _median_lead(grid: Grid, loss: str) -> float:
    return statistics.median(
        grid.cells[SUBJECT, column].mean - grid.cells[loss, column].mean for column in grid.columns
    )
