"""DD-Ranking's scores against values worked out by hand."""

import math

import pytest

from gift_jax.errors import GiftError
from gift_jax.reports import ranking


def test_nothing_gained_and_nothing_lost_is_one_over_one_plus_e():
    # a = 0: (1 - 1/e) / (e - 1/e) = (e - 1) / (e^2 - 1) = 1 / (e + 1) = 1 / 3.7182818 = 0.2689414
    assert ranking.label_robust_score(0.0, 0.0) == pytest.approx(26.89414, abs=1e-5)
    assert ranking.augmentation_robust_score(0.0, 0.0) == pytest.approx(26.89414, abs=1e-5)


def test_the_limits_are_0_and_100():
    # Perfect: random images give 0, distilled ones 1, and all real images with hard labels 0: IOR = 1, HLR = -1.
    assert ranking.label_robust_score(-1.0, 1.0) == pytest.approx(100)
    assert ranking.label_robust_score(1.0, -1.0) == pytest.approx(0)
    assert ranking.augmentation_robust_score(1.0, 1.0) == pytest.approx(100)
    assert ranking.augmentation_robust_score(-1.0, -1.0) == pytest.approx(0)


def test_label_robust_score_of_given_accuracies():
    # Real 0.9, distilled with hard labels 0.5, distilled 0.7 and random 0.6 with soft ones: HLR = 0.4, IOR = 0.1.
    hlr, ior = 0.4, 0.1
    # a = 0.5 * 0.1 - 0.5 * 0.4 = -0.15; e^-0.15 = 0.8607080, e^-1 = 0.3678794, e - e^-1 = 2.3504024
    assert ranking.label_robust_score(hlr, ior) == pytest.approx(20.96783, abs=1e-4)
    # w = 1: a = 0.1; (1.1051709 - 0.3678794) / 2.3504024.  w = 0: a = -0.4; (0.6703200 - 0.3678794) / 2.3504024
    assert ranking.label_robust_score(hlr, ior, weight=1.0) == pytest.approx(31.36874, abs=1e-4)
    assert ranking.label_robust_score(hlr, ior, weight=0.0) == pytest.approx(12.86761, abs=1e-4)


def test_augmentation_robust_score_of_given_accuracies():
    # b = 0.5 * 0.2 + 0.5 * -0.1 = 0.05: (1.0512711 - 0.3678794) / 2.3504024
    assert ranking.augmentation_robust_score(0.2, -0.1) == pytest.approx(29.07552, abs=1e-4)
    # g = 0.25: b = 0.25 * 0.2 - 0.75 * 0.1 = -0.025: (0.9753099 - 0.3678794) / 2.3504024
    assert ranking.augmentation_robust_score(0.2, -0.1, weight=0.25) == pytest.approx(25.84368, abs=1e-4)


def test_scores_rise_with_what_is_gained():
    values = [ranking.normalise(value / 10) for value in range(-10, 11)]
    assert values == sorted(values)
    assert len(set(values)) == 21
    assert math.isclose(ranking.normalise(1.0) - ranking.normalise(-1.0), 100)


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_outside_of_0_to_1_is_refused(weight):
    with pytest.raises(GiftError, match="--lrs-weight must be from 0 to 1"):
        ranking.label_robust_score(0.1, 0.1, weight=weight)
    with pytest.raises(GiftError, match="--ars-weight must be from 0 to 1"):
        ranking.augmentation_robust_score(0.1, 0.1, weight=weight)
