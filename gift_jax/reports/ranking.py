"""Scores that tell what distilled images are worth from what labels and augmentation are worth.

Reference: DD-Ranking (Li et al., 2025, arXiv 2505.13300), as its documentation's introduction defines them; its code
exponentiates differences in percent, where a score of 0 to 100 needs fractions, as here. HLR (hard label recovery) is
the accuracy of all real images less that of the distilled ones, both with hard labels; IOR (improvement over random),
that of the distilled images less that of as many random real ones, both trained in one way.
"""

import math

from gift_jax.errors import GiftError


def label_robust_score(hlr: float, ior: float, *, weight: float = 0.5) -> float:
    """LRS, 0 to 100: `a = w IOR - (1 - w) HLR` on the exponential scale of `normalise`.

    Args: weight, w in [0, 1]; DD-Ranking's leaderboard has 0.5. Raises: GiftError if it is not.
    """
    return normalise(_weighted("lrs", weight, ior, -hlr))


def augmentation_robust_score(ior_augmented: float, ior_plain: float, *, weight: float = 0.5) -> float:
    """ARS, 0 to 100: `b = g IOR_augmented + (1 - g) IOR_plain` on the exponential scale of `normalise`.

    Args: IOR with augmentation and without; weight, g in [0, 1], which the definition leaves open and DD-Ranking's
    code has as 0.5 (`ars_lambda`). Raises: GiftError if it is not.
    """
    return normalise(_weighted("ars", weight, ior_augmented, ior_plain))


def normalise(value: float) -> float:
    """`100 (e^x - e^-1) / (e - e^-1)`: 0 at -1, 100 at 1, and 100 / (1 + e) = 26.9 at 0, where nothing is gained."""
    return 100 * (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def _weighted(score: str, weight: float, first: float, second: float) -> float:
    if not 0 <= weight <= 1:
        raise GiftError(f"--{score}-weight must be from 0 to 1, not {weight}")
    return weight * first + (1 - weight) * second
