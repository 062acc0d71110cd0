"""Named recipes: GIFT's official one and each source method's own, one method a file."""

import dataclasses
from collections.abc import Callable, Mapping

from gift_jax.data.datasets import get_dataset
from gift_jax.errors import unknown_name
from gift_jax.pixels.rand_augment import split_strategy
from gift_jax.recipes import cda, cim, cvdd, datm, dc, delt, edc, gift, gvbsm, hald, idc, minimax, rded, sre2l
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting, setting_of

__all__ = ["RECIPES", "Setting", "make_recipe", "setting_of"]

RECIPES: Mapping[str, Callable[[Setting], Recipe]] = {
    "gift": gift.recipe,
    "sre2l": sre2l.recipe,
    "rded": rded.recipe,
    "datm": datm.recipe,
    "gvbsm": gvbsm.recipe,
    "cda": cda.recipe,
    "dc": dc.dc,
    "dsa": dc.dsa,
    "dm": dc.dsa,
    "mtt": dc.dsa,
    "idc": idc.recipe,
    "minimax": minimax.recipe,
    "edc": edc.recipe,
    "cim": cim.recipe,
    "delt": delt.recipe,
    "cvdd": cvdd.recipe,
    "hald": hald.recipe,
}


def make_recipe(name: str, setting: Setting) -> Recipe:
    """The recipe of that name for a setting, such as `make_recipe("sre2l", setting_of(distilled, "resnet18"))`.

    Images are not flipped where a mirrored one is of no class, or of another.
    Raises: GiftError if the name is unknown, or if the method has no recipe for the dataset.
    Reference: the authors' code; each recipe's module names the files.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    recipe = RECIPES[name](setting)
    if get_dataset(setting.dataset).mirrors:
        return recipe
    rand, strategy = split_strategy(recipe.augment)
    kept = "_".join(operation for operation in strategy.split("_") if operation != "flip") or "none"
    return dataclasses.replace(recipe, augment=f"{rand}+{kept}" if rand else kept)
