"""One normalisation for a run: that of the set's pixels, of the teacher's training and of the test images."""

import dataclasses
from typing import TypeVar

import numpy as np

from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.record_set import RecordSet
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import Teacher

Set = TypeVar("Set", bound=DistilledSet | RecordSet)
OWN = "the set's own"


def told(distilled: DistilledSet | RecordSet) -> Normalisation | None:
    """The statistics that a set says it was normalised with, if it does."""
    return distilled.normalisation if isinstance(distilled, DistilledSet) else None


def wanted(recipe: Recipe, distilled: DistilledSet | RecordSet, teacher: Teacher | None) -> tuple[str, Normalisation]:
    """Whose normalisation the networks' inputs have, and which: the recipe's, the teacher's, the set's, the dataset's.

    Raises: GiftError if the dataset is unknown.
    """
    candidates = (
        ("the recipe's", recipe.normalisation),
        ("the teacher's", teacher and teacher.info.normalisation),
        (OWN, told(distilled)),
    )
    usual = ("the dataset's", get_dataset(distilled.dataset).normalisation)
    return next(((whose, found) for whose, found in candidates if found), usual)


def settle(recipe: Recipe, distilled: Set, teacher: Teacher | None) -> tuple[Recipe, Set]:
    """Recipe and set with one normalisation: pixels that are stored with another one are normalised anew.

    A set that does not say how it was normalised is left as it is. Raises: GiftError if the dataset is unknown.
    """
    own, (whose, common) = told(distilled), wanted(recipe, distilled, teacher)
    if own is None or not isinstance(distilled, DistilledSet) or len(own.mean) != len(common.mean):
        return recipe, distilled
    if whose == OWN:
        return dataclasses.replace(recipe, normalisation=own), distilled
    if own == common:
        return recipe, distilled
    (own_mean, own_std), (mean, std) = (np.array([one.mean, one.std]) for one in (own, common))
    scale, shift = (own_std / std).astype(np.float32), ((own_mean - mean) / std).astype(np.float32)
    return recipe, dataclasses.replace(distilled, images=distilled.images * scale + shift, normalisation=common)


def describe(recipe: Recipe, distilled: DistilledSet | RecordSet, teacher: Teacher | None) -> str:
    """Which normalisation the networks' inputs have, and what it is for the set's pixels, in words."""
    if distilled.pixel_space == "zca":
        return "none: the set is whitened, and so are the test images"
    own, (whose, common) = told(distilled), wanted(recipe, distilled, teacher)
    inputs = f"{_numbers(common)} ({whose}), test images too"
    if distilled.pixel_space == "raw" or whose == OWN or own == common:
        return inputs
    if own is None:
        return f"{inputs}; the set is normalised, but does not tell by what: --mean and --std of convert distilled"
    return f"{inputs}; the set was normalised by {_numbers(own)} and is normalised anew"


def _numbers(normalisation: Normalisation) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (normalisation.mean, normalisation.std))
    return f"mean {mean}, std {std}"
