"""Minimax's recipe: IDC's of ImageNet, for `resnet_ap10` and subsets of up to 100 classes, all at one learning rate.

Reference: vimar-gu/MinimaxDiffusion, `argument.py`, `train.py` and `data.py`, and `run.sh`, which is ImageWoof's. For
ImageNet-1K its README takes RDED's protocol, which is `rded`. The difference in the test images is as in `idc`.
"""

import dataclasses

from gift_jax.recipes import idc
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting


def recipe(setting: Setting) -> Recipe:
    """By classes and images a class."""
    return dataclasses.replace(idc.imagenet("minimax", setting), evaluations=100)
