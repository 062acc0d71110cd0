"""Soft labels made here from a teacher, and replayed as stored ones are: one for an image, a few, or one an epoch.

What an epoch shows is drawn from the seed, so that nothing but the logits would have to be stored.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.stored_info import StoredBatches, StoredInfo
from gift_jax.data.stored_labels import StoredLabels, set_digest
from gift_jax.evaluate import in_batches
from gift_jax.models import Network, Variables
from gift_jax.pixels.crops import random_boxes
from gift_jax.pixels.rand_augment import split_strategy
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import cached_factory, jit
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.identity import digest, teacher_identity
from gift_jax.training.replay import replay

LOGIT_BYTES = np.dtype(np.float16).itemsize
_KEPT_BYTES = 2**24  # of logits that one object keeps; of more, they are computed each time they are asked for
_ORDER, _VIEW = 0, 1  # streams of random numbers of a seed


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MadeLabels(StoredLabels):
    """Labels of a teacher for a set's images, made as epochs are asked for.

    views: how many random views of each image have a label, shown in turn; whole: every view, as many as there are
    epochs, has the label of the whole image instead. smallest_crop and flips are as in a recipe.
    """

    distilled: DistilledSet
    teacher: Teacher
    views: int
    whole: bool
    smallest_crop: float | None
    flips: bool
    seed: int
    kept: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """As of stored labels, with the teacher, whose options and normalisation decide its logits too."""
        return {**super().identity, "teacher": teacher_identity(self.teacher)}

    @property
    def label_bytes(self) -> int:
        """What all of its labels take as float16 logits."""
        return (1 if self.whole else self.views) * len(self.distilled.labels) * self.info.num_classes * LOGIT_BYTES

    def flat(self, number: int) -> StoredBatches:
        """An epoch's batches, one after another, each image once in an order of the epoch's own."""
        view, count = number % self.views, len(self.distilled.labels)
        boxes, flips = self._draw(view)
        whole = (_whole(count, self.info.image_size), np.zeros_like(flips))
        logits = self._logits(-1, *whole) if self.whole else self._logits(view, boxes, flips)
        order = np.random.default_rng((self.seed, _ORDER, number)).permutation(count).astype(np.int32)
        steps = -(-count // self.info.batch_size)
        unmixed = (np.zeros(count, np.int32), np.ones(steps, np.float32), np.zeros((steps, 4), np.int16))
        return StoredBatches(order, boxes[order], flips[order], *unmixed, logits[order])

    def _draw(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """A view's boxes, int16 [N, 4], and flips, bool [N]."""
        generator = np.random.default_rng((self.seed, _VIEW, view))
        count, side = len(self.distilled.labels), self.info.image_size
        flips = generator.random(count) < 0.5 if self.flips else np.zeros(count, bool)
        if self.smallest_crop is None:
            return _whole(count, side), flips
        key = jax.random.key(int(generator.integers(2**31)))
        return np.stack(_boxes(key, count, side, self.smallest_crop), axis=1).astype(np.int16), flips

    def _logits(self, view: int, boxes: np.ndarray, flips: np.ndarray) -> np.ndarray:
        """The teacher's logits of a view, float16 [N, C]."""
        if view in self.kept:
            return self.kept[view]
        distilled, (network, params, info) = self.distilled, self.teacher
        ask = _make_ask(self.info.compiled(), network, distilled.pixel_space, info.normalisation)
        arrays = (distilled.images, boxes, flips)
        made = in_batches(functools.partial(ask, params), self.info.batch_size, *arrays, pad=False).astype(np.float16)
        if self.label_bytes <= _KEPT_BYTES:
            self.kept[view] = made
        return made


def _whole(count: int, side: int) -> np.ndarray:
    """Boxes of whole images, int16 [count, 4]."""
    return np.tile(np.array([0, 0, side, side], np.int16), (count, 1))


_boxes = jax.jit(random_boxes, static_argnums=(1, 2, 3))


@cached_factory
def _make_ask(
    info: StoredInfo, teacher: Network, pixel_space: PixelSpace, normalisation: Normalisation
) -> Callable[..., jax.Array]:
    def ask(params: Variables, images: jax.Array, boxes: jax.Array, flips: jax.Array) -> jax.Array:
        unread: Any = None
        batch = StoredBatches(unread, boxes, flips, unread, unread, unread, unread)
        seen, _ = replay(images, batch, info, pixel_space, normalisation)
        return teacher.apply(params, {}, seen)[0]

    return jit(ask)


def make_labels(
    distilled: DistilledSet, teacher: Teacher, recipe: Recipe, *, views: int = 0, whole: bool = False, seed: int
) -> MadeLabels:
    """Prepare labels for a recipe's epochs, batches, crops and flips. Args: views, 0 for one for each epoch."""
    count, views = len(distilled.labels), views or recipe.epochs
    flips = "flip" in split_strategy(recipe.augment)[1].split("_")
    drawn = f"{'whole images' if whole else views}, crops from {recipe.smallest_crop}, {'' if flips else 'not '}flipped"
    info = StoredInfo(
        dataset=distilled.dataset,
        num_images=count,
        num_classes=distilled.num_classes,
        image_size=distilled.images.shape[1],
        epochs=recipe.epochs,
        batch_size=recipe.resolve_batch_size(count),
        mix="none",
        distilled=set_digest(distilled),
        order=f"seed {seed}",
        source=f"labels of {drawn}, by {teacher.info.architecture} {digest(teacher.params)}",
    )
    options = {"views": views, "whole": whole, "smallest_crop": recipe.smallest_crop, "flips": flips, "seed": seed}
    return MadeLabels(directory=Path(), info=info, distilled=distilled, teacher=teacher, **options)
