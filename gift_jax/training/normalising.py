"""One normalisation for a task: that of the set's pixels, of the teacher's training and of the test images."""

import dataclasses
import weakref
from typing import Any

import numpy as np

from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.record_set import RecordSet
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.identity import array_digest

# What was normalised anew, by the set that it came from: studies make many tasks of one set.
_RENORMALISED: weakref.WeakKeyDictionary[DistilledSet, dict[Any, DistilledSet]] = weakref.WeakKeyDictionary()


def stated_normalisation(distilled: DistilledSet | RecordSet) -> Normalisation | None:
    """The statistics that a set says it was normalised with, if it does."""
    return distilled.normalisation if isinstance(distilled, DistilledSet) else None


def target_normalisation(
    recipe: Recipe, distilled: DistilledSet | RecordSet, teacher: Teacher | None
) -> tuple[str, Normalisation]:
    """Whose normalisation the networks' inputs have, and which: the recipe's, the teacher's, the set's, the dataset's.

    Raises: GiftError if the dataset is unknown.
    """
    candidates = (
        ("the recipe's", recipe.normalisation),
        ("the teacher's", teacher and teacher.info.normalisation),
        ("the set's own", stated_normalisation(distilled)),
    )
    usual = ("the dataset's", get_dataset(distilled.dataset).normalisation)
    return next(((whose, statistics) for whose, statistics in candidates if statistics), usual)


def renormalise(distilled: DistilledSet, target: Normalisation) -> DistilledSet:
    """A set whose pixels are normalised by target; one that does not state how it was normalised stays as it is."""
    stated = distilled.normalisation
    if stated is None or stated == target or len(stated.mean) != len(target.mean):
        return distilled
    known, key = _RENORMALISED.setdefault(distilled, {}), (target, array_digest(distilled.images))
    if key not in known:
        (old_mean, old_std), (mean, std) = (np.array([by.mean, by.std]) for by in (stated, target))
        scale, shift = (old_std / std).astype(np.float32), ((old_mean - mean) / std).astype(np.float32)
        images = distilled.images * scale + shift
        images.setflags(write=False)  # so that its digest is computed once
        known[key] = dataclasses.replace(distilled, images=images, normalisation=target)
    return known[key]
