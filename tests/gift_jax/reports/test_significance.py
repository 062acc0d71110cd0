"""Paired tests and Holm's correction, against their definitions and by hand."""

import math

import numpy as np
import pytest
from grids import rows_of
from scipy import stats

from gift_jax.reports import significance


def compare(results, **options):
    return significance.compare(results, row="loss", column="optimizer", subject="gift", **options)


OURS, THEIRS = np.array([80.0, 81.5, 79.0, 82.0]), np.array([78.0, 80.5, 78.5, 79.0])


def test_differences_are_paired_by_seed_and_have_students_intervals():
    [found] = compare([*rows_of({("gift", "sgd"): OURS}), *reversed(rows_of({("kl", "sgd"): THEIRS}))])
    assert (*found[:2], found.difference, found.n) == ("sgd", "kl", 1.625, 4)
    assert found.std == pytest.approx(np.std(OURS - THEIRS, ddof=1))
    assert found.p == found.p_holm == pytest.approx(stats.ttest_rel(OURS, THEIRS).pvalue)
    low, high = stats.ttest_1samp(OURS - THEIRS, 0).confidence_interval(0.95)
    assert significance.half_interval(found.std, 4) == pytest.approx((high - low) / 2)
    assert significance.line(found, "gift") == f"sgd: gift - kl: +1.6 [{low:+.1f}, {high:+.1f}], n = 4, p = 0.061"
    [single] = compare(rows_of({("gift", "sgd"): OURS[:1], ("kl", "sgd"): THEIRS[:1]}))
    assert significance.line(single, "gift") == "sgd: gift - kl: +2.0, n = 1"


def test_only_common_seeds_count_and_diverged_ones_count_as_guessing():
    [found] = compare(rows_of({("gift", "sgd"): [50, 50], ("kl", "sgd"): [None, 40, 90]}), guessing=10.0)
    assert (found.n, found.difference) == (2, 25.0)


EQUAL = [
    ([0.0, 0.0, 0.0], 1.0),
    ([-2.0, -2.0], 1 / 2),
    ([0.1661, 0.1662, 0.1661], 1 / 4),  # one image of 602 each
    (10 * [5.0], 1 / 512),
    ([1.0], math.nan),
]


@pytest.mark.parametrize(("values", "p"), EQUAL)
def test_degenerate_differences(values, p):
    assert significance.paired_p(np.array(values)) == pytest.approx(p, nan_ok=True)


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 and never falling.
    assert significance.holm([0.04, 0.01, math.nan, 0.03]) == pytest.approx([0.06, 0.03, math.nan, 0.06], nan_ok=True)
    assert significance.holm([0.9, 0.8]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_means_over_columns_take_the_seeds_that_have_all_of_them():
    results = rows_of({("gift", "sgd"): [90, 80], ("gift", "adam"): [70], ("kl", "sgd"): [60, None]})
    means = significance.means_over(results, "loss", "optimizer", 10.0)
    assert means == [{"labels": {"loss": "gift", "optimizer": "mean"}, "seed": 0, "top1_last": 80.0}]


FIGURES = {("gift", "1"): [50, 51], ("gift", "10"): [60, 61], ("kl", "1"): [40, 40], ("kl", "10"): [60, 61]}


def test_a_table_of_differences_has_a_star_for_what_is_left_after_holm():
    # 10 and 11 points: p = 0.03, and 0.06 by Holm beside another test; alone it stays.
    both, alone = compare(rows_of(FIGURES)), compare(rows_of({names: FIGURES[names] for names in [*FIGURES][::2]}))
    interval = "+10.5 [+4.1, +16.9]"
    assert significance.difference_table(both, "gift").rows == [
        ["points (n = 2)", "gift - kl"], ["1", interval], ["10", "+0.0"]
    ]  # fmt: skip
    assert significance.difference_table(alone, "gift").rows[1] == ["gift - kl", f"{interval}*"]


def test_a_table_of_differences_lies_along_its_longer_axis_and_counts_where_seeds_differ():
    figures = FIGURES | {("mse", "10"): [60], ("ce", "1"): [50, 51], ("ce", "10"): [60, 61]}
    assert significance.difference_table(compare(rows_of(figures)), "gift").rows == [
        ["points (n = 1 to 2)", "1", "10"],
        ["gift - kl", "+10.5 [+4.1, +16.9] (2)", "+0.0 (2)"],
        ["gift - mse", "-", "+0.0 (1)"],
        ["gift - ce", "+0.0 (2)", "+0.0 (2)"],
    ]


def test_the_test_set_has_a_sampling_error_of_its_own():
    hits = np.random.default_rng(0).binomial(10_000, 0.84, 20_000) / 100
    assert significance.sampling_error(84.0, 10_000) == pytest.approx(hits.std(), rel=0.02)
