"""RDED's recipe: SRe2L's of ImageNet-1K, with half a cosine, small batches and shuffled mosaics.

Reference: `argument.py`, `validation/` of LINs-lab/RDED.
"""

import dataclasses

from gift_jax.data.datasets import get_dataset
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes import sre2l
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting

LEARNING_RATES = {
    "efficientnet_b0": 2e-3,
    "mobilenet_v2": 2.5e-3,
    "vgg11": 5e-4,
    **dict.fromkeys(("alexnet", "vit_b_16", "swin_v2_t"), 1e-4),
}
# (learning rate, batch size) where the authors set both for one pair; their student and teacher are alike.
SPECIAL = {("cifar100", "conv3"): (2e-3, 25)}


def batch_size(setting: Setting) -> int:
    """By images a class (1, 10 or 50; others as the next lower), twice as large for 100 and 1000 classes."""
    if setting.dataset == "tinyimagenet":
        return 100
    base = next((batch for ipc, batch in ((50, 100), (10, 50)) if setting.ipc >= ipc), 10)
    return base * (2 if get_dataset(setting.dataset).num_classes in (100, 1000) else 1)


def recipe(setting: Setting) -> Recipe:
    """For every dataset and model; mosaics of 2 x 2 on ImageNet and its subsets, none elsewhere."""
    usual = (LEARNING_RATES.get(setting.model, 1e-3), batch_size(setting))
    learning_rate, batch = SPECIAL.get((setting.dataset, setting.model), usual)
    factor = 2 if setting.dataset.startswith("imagenet") else 1
    return dataclasses.replace(
        sre2l.RECIPES["imagenet-1k"],
        optimizer=Optimizer("adamw", learning_rate, 0.01, decay_vectors=False),
        schedule=Schedule("cosine", stretch=2),
        batch_size=batch,
        shuffle=factor,
        smallest_crop=1 / factor if factor > 1 else None,
    )
