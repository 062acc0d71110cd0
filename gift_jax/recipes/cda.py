"""CDA's recipes: SRe2L's, with smaller batches on ImageNet-1K. Reference: VILA-Lab/SRe2L, CDA, and its thread 27."""

import dataclasses

from gift_jax.recipes import sre2l
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting, of_dataset

RECIPES = {
    "imagenet-1k": dataclasses.replace(sre2l.RECIPES["imagenet-1k"], batch_size=128),
    "tinyimagenet": sre2l.RECIPES["tinyimagenet"],
}


def recipe(setting: Setting) -> Recipe:
    """By dataset alone."""
    return of_dataset(RECIPES, "cda", setting)
