"""CIM's recipe: GIFT's with squared errors, and mosaics taken apart.

Reference: `main.py` and `data/utils/evaluator.py` of LINs-lab/CIM.
"""

import dataclasses

from gift_jax.optim import Optimizer
from gift_jax.recipes import gift
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting

LEARNING_RATES = {"swin_v2_t": 1e-4, "efficientnet_b0": 2e-3}


def recipe(setting: Setting) -> Recipe:
    """For every dataset and model."""
    optimizer = Optimizer(learning_rate=LEARNING_RATES.get(setting.model, 1e-3))
    return dataclasses.replace(gift.recipe(setting), loss="mse", optimizer=optimizer, factor=2)
