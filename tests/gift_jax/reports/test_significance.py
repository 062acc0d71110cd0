"""Paired tests and Holm's correction, against their definitions and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from gift_jax.reports import significance


def rows(loss, optimizer, values, failed=()):
    return [
        {"labels": {"loss": loss, "optimizer": optimizer}, "seed": seed}
        | ({"failed": "diverged"} if seed in failed else {"top1_last": value})
        for seed, value in enumerate(values)
    ]


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
    [joined] = significance.across_columns(compare(results))
    assert joined[:3] == ("kl", 6, 5)
    # Ranks 1 (the negative one) to 6: of the 64 signs of six ranks, W = 1 or less in 2, and as many at the other end.
    assert joined.p == pytest.approx(4 / 64)
    assert "ahead of `kl` in 5 (p = 0.062)" in significance.blocks(compare(results), "optimizer", "gift")[1]


@pytest.mark.parametrize(
    ("differences", "expected"), [([1.0], math.nan), ([0.0, 0.0], 1.0), ([1.0, 1.0], 0.5), ([0.0, 1.0, 2.0], 0.5)]
)
def test_signed_ranks_of_few_differences(differences, expected):
    assert significance.signed_rank_p(np.array(differences)) == pytest.approx(expected, nan_ok=True)


def test_only_common_seeds_count_and_diverged_ones_count_as_guessing():
    [found] = compare(
        [*rows("gift", "sgd", [50.0, 50.0]), *rows("kl", "sgd", [0.0, 40.0, 90.0], failed={0})], guessing=10.0
    )
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
    assert significance.half_interval(0.0, 1) == 0.0


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 and never falling.
    assert significance.holm([0.04, 0.01, math.nan, 0.03]) == pytest.approx([0.06, 0.03, math.nan, 0.06], nan_ok=True)
    assert significance.holm([0.9, 0.8]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_words_name_every_defeat():
    noise = np.array([0.0, 0.1, 0.2, 0.3])
    results = [
        *rows("gift", "sgd", 90 + noise),
        *rows("kl", "sgd", 10 + noise[::-1]),
        *rows("gift", "adam", 80 + noise),
        *rows("kl", "adam", 85 + noise[::-1]),
        *rows("mse", "adam", [79.0, 90.0, 70.0, 90.0]),
    ]
    text = significance.in_words(compare(results), "gift")
    assert "Of 3 comparisons paired by seed, `gift` is better in 1 and worse in 1 beyond noise" in text
    assert "1 is undecided" in text
    assert "By mean it loses 2: adam: to `kl` by 5.0; adam: to `mse` by 2.1, undecided." in text
    table = significance.comparison_rows(compare(results), "optimizer")
    assert table[0][0] == "optimizer"
    assert {row[-1] for row in table[1:]} == {"better", "worse", "undecided"}
    assert significance.comparison_rows(compare(results[:1] + results[4:5]), "o")[1][-3:] == ["-", "-", "not testable"]
    assert significance.in_words(compare(results[:8]), "gift").endswith("It loses none by mean.")


def test_intervals_and_effects_are_of_the_paired_differences():
    ours, theirs = np.array([80.0, 81.5, 79.0, 82.0]), np.array([78.0, 80.5, 78.5, 79.0])
    [found] = compare([*rows("gift", "sgd", ours), *rows("kl", "sgd", theirs)])
    expected = stats.ttest_1samp(ours - theirs, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(expected))
    assert found.effect == pytest.approx((ours - theirs).mean() / (ours - theirs).std(ddof=1))
    table = significance.comparison_rows([found], "optimizer")
    assert table[1][:6] == ["sgd", "`kl`", "+1.6", "-0.1 to +3.4", "1.1", "+1.5"]
    [single] = compare([*rows("gift", "sgd", ours[:1]), *rows("kl", "sgd", theirs[:1])])
    assert np.isnan([*single.interval, single.effect]).all()


def test_the_test_set_has_a_sampling_error_of_its_own():
    hits = np.random.default_rng(0).binomial(10_000, 0.84, 20_000) / 100
    assert significance.sampling_error(84.0, 10_000) == pytest.approx(hits.std(), rel=0.02)
