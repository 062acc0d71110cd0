"""DELT's recipe: RDED's without mosaics.

Reference: VILA-Lab/DELT, `evaluation/argument.py`, `evaluation/validation/` and `scripts/*_validation.sh`, which are of
ImageNet-1K and choose timm's RandAugment.
"""

import dataclasses

from gift_jax.recipes import rded
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting


def recipe(setting: Setting) -> Recipe:
    """For every dataset and model."""
    if 30 <= setting.ipc < 50:  # whose batches are those of 50
        setting = setting._replace(ipc=50)
    found = rded.recipe(setting)
    halved = setting.model == "resnet101" and setting.dataset in ("imagenet-1k", "imagenet-100")
    return dataclasses.replace(
        found,
        augment=f"rand-m6-n2-mstd1.0+{found.augment}",
        shuffle=1,
        # The scripts' share of the area; elsewhere the default of the option.
        smallest_crop=0.25 if setting.dataset == "imagenet-1k" else 0.08,
        batch_size=rded.batch_size(setting) // 2 if halved else found.batch_size,
    )
