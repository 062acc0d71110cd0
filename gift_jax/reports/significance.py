"""Which differences are more than noise: t-tests paired by seed in each column, and signed-rank tests over columns.

Both are corrected for their number by Holm's method.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from gift_jax.reports.tables import markdown_table, name_on, number_of

LEVEL = 0.05
GRAIN = 1e-3  # percentage points: rows keep six digits, and no test set has so many images that one counts less
SAMPLE = 6  # columns: of fewer, no signed ranks reach the level


class Comparison(NamedTuple):
    """Subject minus other in one column, over n seeds that both were run with: mean and sample standard deviation in
    percentage points, p of the paired t-test (nan for one seed), and p corrected for all comparisons made with it."""

    column: str
    other: str
    difference: float
    std: float
    n: int
    p: float
    p_holm: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the difference, by Student's t over seeds; (nan, nan) for one seed."""
        if self.n < 2:
            return math.nan, math.nan
        half = half_interval(self.std, self.n)
        return self.difference - half, self.difference + half

    @property
    def effect(self) -> float:
        """The difference in standard deviations of the paired differences, Cohen's d_z; nan without a spread."""
        return self.difference / self.std if self.n > 1 and self.std > GRAIN else math.nan

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `undecided` (or `not testable` with one seed)."""
        if math.isnan(self.p):
            return "not testable"
        return "undecided" if self.p_holm >= LEVEL else "better" if self.difference > 0 else "worse"


def compare(
    results: Iterable[Mapping[str, Any]],
    *,
    row: str,
    column: str,
    subject: str,
    value: str = "top1_last",
    guessing: float = 0.0,
) -> list[Comparison]:
    """Compare one name on the row axis with every other, in every column, paired by seed.

    Seeds decide the student's initial weights and the order and augmentation of its images, so that runs of one seed
    are pairs. Args: guessing, the accuracy in percent that a diverged run counts with.
    """
    figures: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for result in results:
        figure = guessing if "failed" in result else result[value]
        figures[name_on(result, column), name_on(result, row)][result["seed"]] = figure
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


def noise(p: float) -> str:
    """A p in words: `beyond noise` or `within noise`."""
    return "beyond noise" if p < LEVEL else "within noise"


class Across(NamedTuple):
    """Subject against other over all columns as a sample of their kind: the number of columns, those in which the
    subject's mean is higher, p of Wilcoxon's signed-rank test of the mean differences, and p corrected by Holm."""

    other: str
    columns: int
    ahead: int
    p: float
    p_holm: float


def across_columns(comparisons: Sequence[Comparison]) -> list[Across]:
    """Join comparisons over columns. Reference: Demsar (2006), of two learners over many data sets."""
    differences: dict[str, list[float]] = defaultdict(list)
    for comparison in comparisons:
        differences[comparison.other].append(comparison.difference)
    chances = [signed_rank_p(np.array(found)) for found in differences.values()]
    return [
        Across(other, len(found), sum(difference > 0 for difference in found), p, corrected)
        for (other, found), p, corrected in zip(differences.items(), chances, holm(chances), strict=True)
    ]


def half_interval(std: float, n: int) -> float:
    """Half of the 95 % confidence interval of a mean, by Student's t, from the sample standard deviation of n runs.

    As the deviation it is 0 for one run, which tells nothing.
    """
    return float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * std / math.sqrt(n) if n > 1 else 0.0


def signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, from differences [n]; nan for fewer than two of them."""
    if len(differences) < 2:
        return math.nan
    if not differences.any():
        return 1.0
    result: Any = stats.wilcoxon(differences)
    return float(result.pvalue)


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


def blocks(comparisons: Sequence[Comparison], column: str, subject: str) -> list[str]:
    """Comparisons for a report: in words, and as a Markdown table."""
    if not comparisons:
        return []
    across = across_in_words(across_columns(comparisons), column, subject)
    return [in_words(comparisons, subject), *across, markdown_table(comparison_rows(comparisons, column))]


def across_in_words(joined: Sequence[Across], column: str, subject: str) -> list[str]:
    """In how many columns the subject is ahead of each other, and whether that may be chance; nothing for a few."""
    if joined[0].columns < SAMPLE:
        return []
    named = ", ".join(f"`{one.other}` in {one.ahead} (p {p_equals(one.p_holm)})" for one in joined)
    return [
        f"With the {joined[0].columns} {column}s taken as a sample (signed-rank test of mean differences, Holm), "
        f"by mean `{subject}` is ahead of {named}."
    ]


def p_equals(p: float) -> str:
    """A p value for a sentence: `= 0.012` or `< 0.001`."""
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def comparison_rows(comparisons: Sequence[Comparison], column: str) -> list[list[str]]:
    """Comparisons as text with a header, the surest first."""
    header = [column, "against", "difference", "95 % interval", "std", "d", "n", "p", "p, Holm", "verdict"]
    order = sorted(comparisons, key=lambda c: (math.isnan(c.p), c.p, -abs(c.difference)))
    return [header, *map(_comparison_row, order)]


def _comparison_row(c: Comparison) -> list[str]:
    effect = "-" if math.isnan(c.effect) else f"{c.effect:+.1f}"
    figures = [
        f"{c.difference:+.1f}",
        interval_text(c),
        f"{c.std:.1f}",
        effect,
        str(c.n),
        p_text(c.p),
        p_text(c.p_holm),
    ]
    return [c.column, f"`{c.other}`", *figures, c.verdict]


def interval_text(c: Comparison) -> str:
    """A comparison's 95 % interval: `-0.3 to +1.2`."""
    return "-" if math.isnan(c.interval[0]) else "{:+.1f} to {:+.1f}".format(*c.interval)


def sampling_error(accuracy: float, images: int) -> float:
    """The standard error, in percentage points, that so many test images leave to one accuracy, in percent.

    That of a difference between two students is at most the root of two times it, where their mistakes are unrelated.
    """
    return 100 * math.sqrt(accuracy / 100 * (1 - accuracy / 100) / images)


def p_text(p: float) -> str:
    """A p value for a table."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def in_words(comparisons: Sequence[Comparison], subject: str) -> str:
    """How many comparisons are more than noise, and every one that the subject loses, by mean at least."""
    count = Counter(c.verdict for c in comparisons)
    text = (
        f"Of {len(comparisons)} comparisons paired by seed, `{subject}` is better in {count['better']} and worse in "
        f"{count['worse']} beyond noise (paired t-test, Holm, p < {LEVEL:g}); "
        f"{number_of(count['undecided'])} undecided."
    )
    losses = sorted((c for c in comparisons if c.difference < 0), key=lambda c: c.difference)
    if not losses:
        return f"{text} It loses none by mean."
    named = "; ".join(
        f"{c.column}: to `{c.other}` by {-c.difference:.1f}{'' if c.verdict == 'worse' else ', ' + c.verdict}"
        for c in losses
    )
    return f"{text} By mean it loses {len(losses)}: {named}."
