"""DD-Ranking's scores against values worked out by hand."""

import pytest

from gift_jax.errors import GiftError
from gift_jax.reports import ranking

LRS, ARS = ranking.label_robust_score, ranking.augmentation_robust_score
CASES = [
    # a = 0: (1 - 1/e) / (e - 1/e) = (e - 1) / (e^2 - 1) = 1 / (e + 1) = 1 / 3.7182818 = 0.2689414
    *((LRS, 0.0, 0.0, 0.5, 26.89414), (ARS, 0.0, 0.0, 0.5, 26.89414)),
    # Perfect: random images give 0, distilled ones 1, and all real images with hard labels 0: IOR = 1, HLR = -1.
    *((LRS, -1.0, 1.0, 0.5, 100), (LRS, 1.0, -1.0, 0.5, 0), (ARS, 1.0, 1.0, 0.5, 100), (ARS, -1.0, -1.0, 0.5, 0)),
    # Real 0.9, distilled with hard labels 0.5, distilled 0.7 and random 0.6 with soft ones: HLR = 0.4, IOR = 0.1.
    # a = 0.5 * 0.1 - 0.5 * 0.4 = -0.15; e^-0.15 = 0.8607080, e^-1 = 0.3678794, e - e^-1 = 2.3504024
    (LRS, 0.4, 0.1, 0.5, 20.96783),
    # w = 1: a = 0.1; (1.1051709 - 0.3678794) / 2.3504024.  w = 0: a = -0.4; (0.6703200 - 0.3678794) / 2.3504024
    *((LRS, 0.4, 0.1, 1.0, 31.36874), (LRS, 0.4, 0.1, 0.0, 12.86761)),
    # b = 0.5 * 0.2 + 0.5 * -0.1 = 0.05: (1.0512711 - 0.3678794) / 2.3504024
    (ARS, 0.2, -0.1, 0.5, 29.07552),
    # g = 0.25: b = 0.25 * 0.2 - 0.75 * 0.1 = -0.025: (0.9753099 - 0.3678794) / 2.3504024
    (ARS, 0.2, -0.1, 0.25, 25.84368),
]


@pytest.mark.parametrize(("score", "first", "second", "weight", "expected"), CASES)
def test_scores_by_hand(score, first, second, weight, expected):
    assert score(first, second, weight=weight) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_outside_of_0_to_1_is_refused(weight):
    for name, score in (("lrs", LRS), ("ars", ARS)):
        with pytest.raises(GiftError, match=f"--{name}-weight must be from 0 to 1"):
            score(0.1, 0.1, weight=weight)
