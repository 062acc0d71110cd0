"""Paired tests and Holm's correction, against their definitions and by hand."""

import math

import numpy as np
import pytest
from grids import rows_of
from scipy import stats

from gift_jax.reports import significance


def rows(loss, optimizer, values, failed=()):
    return rows_of({(loss, optimizer): [None if seed in failed else value for seed, value in enumerate(values)]})


def compare(results, **options):
    return significance.compare(results, row="loss", column="optimizer", subject="gift", **options)


def test_differences_are_paired_by_seed():
    ours, theirs = [80.0, 85.0, 91.0], [78.0, 84.0, 88.0]
    [found] = compare([*rows("gift", "sgd", ours), *reversed(rows("kl", "sgd", theirs))])
    assert found[:2] == ("sgd", "kl")
    assert (found.difference, found.n) == (2.0, 3)
    assert found.std == pytest.approx(1.0)
    assert found.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert found.p_holm == found.p


def test_columns_together_are_tested_by_signed_ranks():
    results = []
    for number, lead in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, -0.5)):
        results += rows("gift", f"o{number}", [50.0 + lead, 51.0 + lead]) + rows("kl", f"o{number}", [50.0, 51.0])
    # Ranks 1 (the negative one) to 6: of the 64 signs of six ranks, W = 1 or less in 2, and as many at the other end:
    # p = 4 / 64.
    [table] = significance.across_table(compare(results), "optimizer", "gift")
    assert table.rows[1] == ["`gift` - `kl`", "5 of 6", "+2.5", "0.062", "0.062"]
    assert significance.across_table(compare(results)[:5], "optimizer", "gift") == []


@pytest.mark.parametrize(
    ("differences", "expected"), [([1.0], math.nan), ([0.0, 0.0], 1.0), ([1.0, 1.0], 0.5), ([0.0, 1.0, 2.0], 0.5)]
)
def test_signed_ranks_of_few_differences(differences, expected):
    assert significance.signed_rank_p(np.array(differences)) == pytest.approx(expected, nan_ok=True)


def test_only_common_seeds_count_and_diverged_ones_count_as_guessing():
    results = [*rows("gift", "sgd", [50.0, 50.0]), *rows("kl", "sgd", [0.0, 40.0, 90.0], failed={0})]
    [found] = compare(results, guessing=10.0)
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


def test_half_an_interval_is_students():
    values = [80.0, 85.0, 91.0, 84.0, 88.0]
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    half = significance.half_interval(float(np.std(values, ddof=1)), 5)
    assert (np.mean(values) - half, np.mean(values) + half) == pytest.approx((low, high))
    assert math.isnan(significance.half_interval(math.nan, 1))


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 and never falling.
    assert significance.holm([0.04, 0.01, math.nan, 0.03]) == pytest.approx([0.06, 0.03, math.nan, 0.06], nan_ok=True)
    assert significance.holm([0.9, 0.8]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_means_over_columns_take_the_seeds_that_have_all_of_them():
    results = [*rows("gift", "sgd", [90, 80]), *rows("gift", "adam", [70]), *rows("kl", "sgd", [60, 60], failed={1})]
    means = significance.means_over(results, "loss", "optimizer", 10.0)
    assert means == [{"labels": {"loss": "gift", "optimizer": "mean"}, "seed": 0, "top1_last": 80.0}]


def test_intervals_and_effects_are_of_the_paired_differences():
    ours, theirs = np.array([80.0, 81.5, 79.0, 82.0]), np.array([78.0, 80.5, 78.5, 79.0])
    [found] = compare([*rows("gift", "sgd", ours), *rows("kl", "sgd", theirs)])
    expected = stats.ttest_1samp(ours - theirs, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(expected))
    assert found.effect == pytest.approx((ours - theirs).mean() / (ours - theirs).std(ddof=1))
    table = significance.comparison_table([found], "optimizer", "gift")
    assert table.rows[1][:6] == ["sgd", "`gift` - `kl`", "+1.6", "-0.1 to +3.4", "+1.5", "4"]
    assert significance.line(found, "gift") == "sgd: gift - kl: +1.6 [-0.1, +3.4], n = 4, p = 0.061"
    [single] = compare([*rows("gift", "sgd", ours[:1]), *rows("kl", "sgd", theirs[:1])])
    assert np.isnan([*single.interval, single.effect]).all()


def test_the_test_set_has_a_sampling_error_of_its_own():
    hits = np.random.default_rng(0).binomial(10_000, 0.84, 20_000) / 100
    assert significance.sampling_error(84.0, 10_000) == pytest.approx(hits.std(), rel=0.02)
