"""DELT's recipe: RDED's without mosaics.

Reference: VILA-Lab/DELT, `evaluation/argument.py`, `evaluation/validation/` and `scripts/*_validation.sh`, which are of
ImageNet-1K and choose timm's RandAugment.
"""

import dataclasses

from gift_jax.recipes import rded
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting

# The scripts' share of the area; elsewhere the default of the option.
SMALLEST_CROPS = {"imagenet-1k": 0.25}
# Between 30 and 49 images a class, batches are those of 50.
FIFTY = 50


def recipe(setting: Setting) -> Recipe:
    """For every dataset and model."""
    if 30 <= setting.ipc < FIFTY:
        setting = setting._replace(ipc=FIFTY)
    found = rded.recipe(setting)
    halved = setting.model == "resnet101" and setting.dataset in ("imagenet-1k", "imagenet-100")
    return dataclasses.replace(
        found,
        augment=f"rand-m6-n2-mstd1.0+{found.augment}",
        shuffle=1,
        smallest_crop=SMALLEST_CROPS.get(setting.dataset, 0.08),
        batch_size=rded.batch_size(setting) // 2 if halved else found.batch_size,
    )
