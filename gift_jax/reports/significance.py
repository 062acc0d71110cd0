"""Which differences are more than noise: t-tests paired by seed, corrected for their number by Holm's method."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from gift_jax.reports.page import Table
from gift_jax.reports.tables import count, figure, in_order, names_apart

LEVEL = 0.05
GRAIN = 1e-3  # percentage points: rows keep six digits, and no test set has so many images that one counts less


class Comparison(NamedTuple):
    """Subject minus other in one column, over n seeds that both were run with.

    Mean and sample standard deviation in percentage points, p of the paired t-test (nan for one seed), and p corrected
    for all comparisons made with it.
    """

    column: str
    other: str
    difference: float
    std: float
    n: int
    p: float
    p_holm: float

    def __str__(self) -> str:
        """`-3.0 [-3.5, -2.6]`, the difference and its 95 % interval by Student's t.

        One seed has none, nor have seeds that all differ by the same number, whose spread is not known.
        """
        half = half_interval(self.std, self.n)
        known = self.n > 1 and self.std >= GRAIN
        interval = f" [{self.difference - half:+.1f}, {self.difference + half:+.1f}]" if known else ""
        return f"{self.difference:+.1f}{interval}"


def compare(
    results: Iterable[Mapping[str, Any]], *, row: str, column: str, subject: str, guessing: float = 0.0
) -> list[Comparison]:
    """Compare one name on the row axis with every other, in every column, paired by seed.

    Seeds decide the student's initial weights and the order and augmentation of its images, so that runs of one seed
    are pairs. Runs of two settings are never compared as one (`names_apart`).

    Args: subject, the name that is compared with the others; the rest is as of `tables.make_grid`.
    """
    figures: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for place, name, result in names_apart(results, column, row):
        figures[place, name][result["seed"]] = figure(result, guessing)
    tests = []
    for (place, other), theirs in figures.items():
        ours = figures.get((place, subject), {})
        if other != subject and (seeds := sorted(ours.keys() & theirs.keys())):
            tests.append((place, other, np.array([ours[seed] - theirs[seed] for seed in seeds])))
    chances = [paired_p(differences) for _, _, differences in tests]
    return [
        Comparison(place, other, float(d.mean()), float(d.std(ddof=1)) if len(d) > 1 else 0.0, len(d), p, corrected)
        for (place, other, d), p, corrected in zip(tests, chances, holm(chances), strict=True)
    ]


def paired_p(differences: np.ndarray) -> float:
    """Two-sided p of a paired t-test, from differences [n]; nan for fewer than two of them.

    Of some hundreds of images, a few seeds can differ by the same number each: where all differences are equal and the
    t statistic is infinite, p is that of the exact test by flipping signs, 2^(1 - n), or 1 if there is no difference.
    """
    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) < GRAIN:
        return 1.0 if abs(differences[0]) < GRAIN else 2.0 ** (1 - len(differences))
    result: Any = stats.ttest_1samp(differences, 0.0)
    return float(result.pvalue)


def half_interval(std: float, n: int) -> float:
    """Half of the 95 % confidence interval of a mean, from the sample standard deviation of n runs; nan for one run."""
    return float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * std / math.sqrt(n) if n > 1 else math.nan


def holm(chances: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values, each at most 1, in the order given; nan stays and is not counted.

    Reference: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = sorted((i for i, p in enumerate(chances) if not math.isnan(p)), key=lambda i: chances[i])
    corrected, largest = [math.nan] * len(chances), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min((len(order) - rank) * chances[i], 1.0))
        corrected[i] = largest
    return corrected


def means_over(results: Iterable[Mapping[str, Any]], row: str, column: str, guessing: float = 0.0) -> list[dict]:
    """Rows by the names on the row axis and the seeds, whose figure is the mean over all columns.

    A seed that lacks a column of its name is left out. The rows' label on the column axis is `mean`.
    """
    figures: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for name, place, result in names_apart(results, row, column):
        figures[name, result["seed"]][place] = figure(result, guessing)
    columns = {place for found in figures.values() for place in found}
    return [
        {"labels": {row: name, column: "mean"}, "seed": seed, "top1_last": statistics.fmean(found.values())}
        for (name, seed), found in figures.items()
        if found.keys() == columns
    ]


def line(c: Comparison, subject: str) -> str:
    """A comparison in fixed form: `gift - softce: -3.0 [-3.5, -2.6], n = 10, p < 0.001`; p is Holm's."""
    p = "" if math.isnan(c.p_holm) else ", p < 0.001" if c.p_holm < 0.001 else f", p = {c.p_holm:.3f}"
    place = "" if c.column == "mean" else f"{c.column}: "
    return f"{place}{subject} - {c.other}: {c}, n = {c.n}{p}"


def starred(c: Comparison) -> str:
    """A comparison in a table, with a star if p of Holm's is below 0.05."""
    return f"{c}{'*' * (c.p_holm < LEVEL)}"


def difference_table(comparisons: Sequence[Comparison], subject: str) -> Table:
    """Differences by column and other name, the longer axis down.

    Cells have their n in brackets where it is not the same in all of them.
    """
    alike = len({c.n for c in comparisons}) == 1
    places = in_order(c.column for c in comparisons)
    pairs = tuple(f"{subject} - {other}" for other in in_order(c.other for c in comparisons))
    cells: dict[tuple[str, str], str] = {}
    for c in comparisons:
        place, pair = c.column, f"{subject} - {c.other}"
        text = starred(c) + ("" if alike else f" ({c.n})")
        cells[place, pair] = cells[pair, place] = text
    across, down = sorted((places, pairs), key=len)
    header = [f"points ({count(c.n for c in comparisons)})", *across]
    return Table([header, *([name, *(cells.get((name, other), "-") for other in across)] for name in down)])


def sampling_error(accuracy: float, images: int) -> float:
    """The standard error, in percentage points, that so many test images leave to one accuracy, in percent.

    That of a difference between two students is at most the root of two times it, where their mistakes are unrelated.
    """
    return 100 * math.sqrt(accuracy / 100 * (1 - accuracy / 100) / images)
