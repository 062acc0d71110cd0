"""HALD's recipes, soft-hard-soft: KL under few stored labels, hard labels in the middle of the run, then KL again.

Reference: Jiacheng8/HALD, `validate/train_fkd.py` (setting `S6`), `validate/hyper.yaml` and
`validate/scripts/imagenet1k/train.sh`, where half of the 300 epochs are hard ("set soft_epochs for the given" number of
labels; the default of its options is two thirds). The rate and the optimizer's state go on through all phases.
A difference: timm's CutMix pairs the images of a batch in reverse order, here they are permuted.
"""

import dataclasses
from fractions import Fraction

from gift_jax.errors import GiftError
from gift_jax.recipes import cvdd
from gift_jax.recipes.recipe import Phase, Recipe
from gift_jax.recipes.setting import Rates, Setting

HARD_SHARE, SMOOTHING = 0.5, 0.8

# As CV-DD's table.
RATES: Rates = {
    "cifar100": {
        "resnet18": {1: (5e-4, 2), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet50": {1: (1e-3, 1), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet101": dict.fromkeys((1, 10, 50), (5e-4, 1)),
    },
    "tinyimagenet": {
        "resnet18": {1: (1e-3, 2), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet50": {1: (5e-4, 2), 10: (5e-4, 2), 50: (5e-4, 1)},
        "resnet101": {1: (5e-4, 2), 10: (5e-4, 2), 50: (5e-4, 1)},
    },
    "imagenet-woof": {
        "resnet18": {1: (5e-4, 2), 10: (5e-4, 1), 50: (1e-3, 2)},
        "resnet50": {1: (5e-4, 2), 10: (5e-3, 1), 50: (5e-4, 1)},
        "resnet101": {1: (1e-3, 1), 10: (5e-4, 2), 50: (5e-4, 1)},
    },
    "imagenet-nette": {
        "resnet18": {1: (5e-4, 2), 10: (5e-4, 1), 50: (5e-4, 2)},
        "resnet50": {1: (5e-4, 2), 10: (5e-4, 1), 50: (5e-4, 1)},
        "resnet101": {1: (5e-4, 2), 10: (5e-4, 2), 50: (1e-3, 2)},
    },
    "imagenet-1k": {
        "resnet18": {**dict.fromkeys((1, 10, 20, 30, 40), (1e-3, 2)), 50: (1e-3, 1)},
        "resnet50": {1: (5e-4, 2), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet101": {1: (3.5e-3, 2), 10: (1e-3, 2), 50: (5e-4, 1)},
        "mobilenet_v2": dict.fromkeys((10, 20, 30, 40, 50), (1e-3, 2)),
    },
}


def soft_hard_soft(recipe: Recipe, hard_share: float = HARD_SHARE, smoothing: float = SMOOTHING) -> Recipe:
    """The recipe with its loss at the beginning and at the end, and hard labels, smoothed, for this share in between.

    Raises: GiftError if the share is not between 0 and 1.
    """
    if not 0 < hard_share < 1:
        raise GiftError(f"the share of epochs under hard labels must be above 0 and below 1, not {hard_share}")
    half = Fraction(hard_share).limit_denominator(1000) / 2
    start, stop = Fraction(1, 2) - half, Fraction(1, 2) + half
    hard = Phase(start.as_integer_ratio(), stop.as_integer_ratio(), "ce", (("smoothing", smoothing),))
    return dataclasses.replace(recipe, phases=(hard,))


def recipe(setting: Setting) -> Recipe:
    """By dataset, model and images a class."""
    return soft_hard_soft(cvdd.recipe_of("hald", RATES, setting))
