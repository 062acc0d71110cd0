"""The headline of the benchmark: GIFT against every loss at default and at tuned rates, and its tests."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Section, Table
from gift_jax.reports.significance import Comparison
from gift_jax.reports.summary import ACCURACY, SUBJECT, TESTED, listing, what_was_run
from gift_jax.reports.tables import Grid, make_grid, name_on

from ..common.guessing import guessing
from ..common.reporting import Row, only
from .cells import DEFAULT_RATE, TUNED_RATE, rates_on_validation

PRIMARY = "The primary comparison, stated before any student was tested:"
RATES = {DEFAULT_RATE: "default rate", TUNED_RATE: "tuned rate"}


class Headline(NamedTuple):
    """At either rate grids and GIFT's comparisons, a family each; guessing's accuracy; and the primary comparison."""

    grids: Mapping[str, Grid]
    families: Mapping[str, list[Comparison]]
    chance: float
    primary: Comparison

    def mean(self, loss: str) -> float:
        """A loss's mean over the optimizers at tuned rates."""
        grid = self.grids[TUNED_RATE]
        return statistics.fmean(grid.cell(loss, column).mean for column in grid.columns)

    @property
    def order(self) -> list[str]:
        """Losses by their mean over the optimizers at tuned rates, best first, those with a missing cell last."""
        means = {loss: self.mean(loss) for loss in self.grids[TUNED_RATE].rows}
        return sorted(means, key=lambda loss: (math.isnan(means[loss]), -means[loss]))


def read_headline(rows: Sequence[Row]) -> Headline | None:
    """The headline at both rates, and against GIFT's first rival; None if it was not run."""
    chance = guessing(only(rows, question="headline"))
    views = {view: only(rows, question="headline", view=view) for view in RATES}
    # The rival is decided before any test image.
    _, order = rates_on_validation(only(rows, question="search"))
    rival = next((loss for loss in order if loss != SUBJECT), None)
    pair = [row for row in views[TUNED_RATE] if name_on(row, "loss") in (SUBJECT, rival)]
    means = significance.means_over(pair, "loss", "optimizer", chance)
    found = significance.compare(means, row="loss", column="optimizer", subject=SUBJECT)
    if not found:
        return None
    grids = {view: make_grid(own, "loss", "optimizer", guessing=chance) for view, own in views.items()}
    families = {
        view: significance.compare(own, row="loss", column="optimizer", subject=SUBJECT, guessing=chance)
        for view, own in reversed(views.items())
    }
    return Headline(grids, families, chance, found[0])


def summary(rows: Sequence[Row], headline: Headline, title: str, compared: str) -> Section:
    """The picture of both rates, the comparison with the strongest rival, as what it is, and the table."""
    teacher = next((row["top1_last"] for row in only(rows, question="teacher")), None)
    grids, panels, own = headline.grids, {}, only(rows, question="headline")
    for view, name in RATES.items():  # losses side by side, an optimizer a colour
        grid = make_grid(only(own, view=view), "optimizer", "loss", guessing=headline.chance)
        panels[name] = grid._replace(columns=tuple(loss for loss in headline.order if loss in grid.columns))
    about = what_was_run([{**row, "teacher_top1": teacher} for row in own])
    options = {"about": about, "references": {"guessing": headline.chance, "teacher": teacher or 0.0}}
    picture = pictures.points("summary", panels, "Accuracy by loss and optimizer", **options)
    columns = grids[TUNED_RATE].columns
    header = ["loss", *(f"{name}, {RATES[view]}" for name in columns for view in grids), "mean, tuned rates"]
    body = []
    for loss in headline.order:
        cells = [str(grids[view].cell(loss, name)) for name in columns for view in grids]
        mean = headline.mean(loss)
        body.append([f"`{loss}`", *cells, "-" if math.isnan(mean) else f"{mean:.1f}"])
    note = (
        f"{ACCURACY} The default rate is fixed beforehand; the tuned one is chosen for each loss and optimizer on "
        f"validation images that no set holds, by students that are not counted here. Tuned: {grids[TUNED_RATE].n}; "
        f"default: {grids[DEFAULT_RATE].n if grids[DEFAULT_RATE].cells else 'n = 0'}. {TESTED}"
    )
    stated = (
        f"{compared} each seed's mean over the optimizers at tuned rates, against "
        "the strongest rival on validation images; one t-test, with its 95 % interval."
    )
    return Section(title, [about, picture, stated, listing([headline.primary], SUBJECT), Table([header, *body]), note])


def statistics_section(rows: Sequence[Row], headline: Headline) -> Section:
    """Both families with intervals, and what the test images leave uncertain."""
    blocks = []
    for view, family in headline.families.items():
        if family:
            about = f"At the {RATES[view]}, a family of {len(family)} differences:"
            blocks += [about, significance.difference_table(family, SUBJECT)]
    if teacher := only(rows, question="teacher"):
        tested = int(name_on(teacher[0], "test images"))
        error = significance.sampling_error(headline.mean(SUBJECT), tested)
        blocks.append(
            f"Standard error that {tested:,} test images leave to an accuracy: {error:.2f} points; to a difference: "
            f"{math.sqrt(2) * error:.2f} at most."
        )
    return Section("Differences", blocks, folded=True)
