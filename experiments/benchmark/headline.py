"""The answer of the study of Fashion-MNIST: GIFT against every loss at customary and at tuned rates, and its tests."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import answer, overview, significance
from gift_jax.reports.page import Section
from gift_jax.reports.significance import Comparison
from gift_jax.reports.tables import Grid, counts, make_grid, markdown_table, name_on

from ..common.rate_views import figure
from ..common.reporting import SPREAD, Row, guessing, only
from .cells import CUSTOMARY_RATE, SUBJECT, TUNED_RATE, validated

ABOUT = f"Top-1 accuracy after the last epoch, %, {SPREAD}."


class Headline(NamedTuple):
    """At either rate grids and GIFT's comparisons, a family each; guessing's accuracy; and the primary comparison."""

    grids: Mapping[str, Grid]
    families: Mapping[str, list[Comparison]]
    chance: float
    primary: Comparison

    @property
    def order(self) -> list[str]:
        """Losses by their mean over the optimizers at tuned rates, best first."""
        grid = self.grids[TUNED_RATE]
        return sorted(grid.rows, key=lambda loss: -_over(grid, loss))


def _over(grid: Grid, loss: str) -> float:
    return statistics.fmean(grid.cells[loss, column].mean for column in grid.columns)


def read_headline(rows: Sequence[Row]) -> Headline:
    """The headline in both views, and against its first rival. Args: rows, of all questions."""
    chance = guessing([row for row in rows if name_on(row, "question") == "headline"])
    views = {view: only(rows, question="headline", view=view) for view in (CUSTOMARY_RATE, TUNED_RATE)}
    grids = {view: make_grid(own, "loss", "optimizer", guessing=chance) for view, own in views.items()}
    families = {
        view: significance.compare(own, row="loss", column="optimizer", subject=SUBJECT, guessing=chance)
        for view, own in reversed(views.items())
    }
    return Headline(grids, families, chance, primary(views[TUNED_RATE], first_rival(rows), chance))


def primary(rows: Sequence[Row], rival: str, chance: float) -> Comparison:
    """The primary comparison: GIFT minus its rival, by each seed's mean over the optimizers.

    Args: rows, of the headline at tuned rates; chance, the accuracy that a diverged student counts with.
    """
    means: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        means[name_on(row, "loss"), row["seed"]].append(figure(row, chance))
    count = len({name_on(row, "optimizer") for row in rows})
    joined = [
        {"labels": {"loss": loss, "over": "all optimizers"}, "seed": seed, "top1_last": statistics.fmean(found)}
        for (loss, seed), found in means.items()
        if loss in (SUBJECT, rival) and len(found) == count
    ]
    [found] = significance.compare(joined, row="loss", column="over", subject=SUBJECT)
    return found


def first_rival(rows: Sequence[Row]) -> str:
    """The other loss of the highest mean validation accuracy at its chosen rates: decided before any test image."""
    _, order = validated(only(rows, question="search"))
    return next(loss for loss in order if loss != SUBJECT)


def answer_section(rows: Sequence[Row], headline: Headline) -> Section:
    """One picture, three sentences, one table."""
    lines = {"guessing": headline.chance}
    tested, teacher = 0, only(rows, question="teacher")
    if teacher:
        lines["the whole dataset (the teacher)"] = teacher[0]["top1_last"]
        tested = int(name_on(teacher[0], "test images"))
    grids = headline.grids
    drawn = {"customary": grids[CUSTOMARY_RATE], "tuned": grids[TUNED_RATE], "order": headline.order}
    picture = overview.two_rates("answer", title="Top-1 accuracy by loss and optimizer", lines=lines, **drawn)
    text = " ".join([_primary_words(headline), _cells_words(headline), _noise_words(headline, tested)])
    columns = grids[TUNED_RATE].columns
    header = ["loss", *(f"{name}, {view}" for name in columns for view in grids), "mean, tuned"]
    body = []
    for loss in headline.order:
        cells = [str(grids[view].cells[loss, name]) for name in columns for view in grids]
        body.append([f"`{loss}`", *cells, f"{_over(grids[TUNED_RATE], loss):.1f}"])
    note = (
        f"{ABOUT} The customary rate is fixed beforehand; the tuned one is chosen for each loss and optimizer on "
        "training images that no set holds, by students that are not counted here. The first comparison was stated "
        f"before any student was tested. {counts(grids[TUNED_RATE])} at tuned, {counts(grids[CUSTOMARY_RATE])} at "
        "customary rates."
    )
    return answer.section(picture, text, markdown_table([header, *body]), note)


def _primary_words(headline: Headline) -> str:
    c = headline.primary
    way = "ahead of" if c.difference > 0 else "behind"
    if c.n < 2:
        return (
            f"At tuned rates `{SUBJECT}` is {abs(c.difference):.1f} points {way} `{c.other}` (one seed, no interval)."
        )
    low, high = c.interval
    return (
        f"At tuned rates, over the {len(headline.grids[TUNED_RATE].columns)} optimizers, `{SUBJECT}` is "
        f"{abs(c.difference):.2f} points {way} `{c.other}`, its strongest rival on validation images (95 % interval of "
        f"the difference {low:+.2f} to {high:+.2f}, n = {c.n} seeds, p {significance.p_equals(c.p)}): "
        f"{significance.noise(c.p)}."
    )


def _cells_words(headline: Headline) -> str:
    parts = []
    for view, grid in headline.grids.items():
        leads = answer.leads(grid, SUBJECT)
        won = sum(lead.sign > 0 for lead in leads)
        to = [
            f"to `{other}` by {answer.listed([f'{-lead.points:.1f} under {lead.column}' for lead in lost])}"
            for other, lost in answer.by_other(leads, -1).items()
        ]
        losing = f", losing {answer.listed(to)}" if to else ""
        parts.append(f"at {view} rates in {won} of {len(leads)}{losing}")
    return f"By mean it is best {'; '.join(parts)}."


def _noise_words(headline: Headline, tested: int) -> str:
    fair = headline.families[TUNED_RATE]
    count = Counter(c.verdict for c in fair)
    text = (
        f"Of its {len(fair)} differences to other losses at tuned rates, {count['better']} are beyond noise in its "
        f"favour, {count['worse']} against it, {count['undecided']} undecided (paired t-tests by seed, Holm)"
    )
    if not tested:
        return f"{text}."
    mean = _over(headline.grids[TUNED_RATE], SUBJECT)
    error = significance.sampling_error(mean, tested)
    return (
        f"{text}; {tested:,} test images leave each accuracy a standard error of {error:.2f} points, and a "
        f"difference at most {math.sqrt(2) * error:.2f}."
    )


def statistics_section(headline: Headline) -> Section:
    """The comparison that was stated first, and both families with intervals and effect sizes."""
    blocks = []
    if headline.primary.n > 1:
        about = "The primary comparison, one test: each seed's mean over the optimizers, at tuned rates."
        blocks += [about, markdown_table(significance.comparison_rows([headline.primary], "over"))]
    for view, family in headline.families.items():
        about = (
            f"`{SUBJECT}` against each loss under each optimizer at {view} rates: a family of {len(family)} tests, "
            "corrected by Holm. Differences in points, paired by seed; d is the difference in standard deviations of "
            "the paired differences."
        )
        blocks += [about, markdown_table(significance.comparison_rows(family, "optimizer"))]
    return Section("Statistics", blocks, folded=True)
