"""What the networks see in a step: a batch that is drawn from keys, or replayed as it was stored."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gift_jax.data.network_input import to_input
from gift_jax.data.stored_info import StoredBatches, StoredInfo
from gift_jax.pixels import Augmentation
from gift_jax.pixels.colors import random_colors
from gift_jax.pixels.crops import make_box_strategy
from gift_jax.pixels.dsa import make_strategy
from gift_jax.pixels.mixing import make_mixing
from gift_jax.pixels.rand_augment import make_rand_augment, split_strategy
from gift_jax.training.program import Data, Program
from gift_jax.training.replay import logits_of, replay, weights_of


class Batch(NamedTuple):
    """What the networks see, and what the loss needs beside their logits.

    images, normalised, augmented and mixed; labels, int [B]; partners, the rows that were mixed in, with labels of
    their own; kept, the share of itself that each image is; soft_labels, stored logits, if there are any.
    """

    images: jax.Array
    labels: jax.Array
    partners: jax.Array
    kept: jax.Array
    soft_labels: jax.Array | None
    weights: jax.Array | None = None
    epoch: jax.Array | int = 0


def make_prepare(program: Program) -> Callable[[Data, Any, jax.Array, jax.Array], tuple[Batch, jax.Array]]:
    """Build `(data, chosen, key, step) -> (Batch, dropout key)`: draw or replay a batch."""
    make_batch = _make_replay(program, program.stored) if program.stored else make_drawing(program)

    def prepare(data: Data, chosen: Any, key: jax.Array, step: jax.Array) -> tuple[Batch, jax.Array]:
        *keys, dropout_key = jax.random.split(jax.random.fold_in(key, step), 4)
        batch = make_batch(data, chosen, keys)
        return batch._replace(epoch=step // program.steps_per_epoch), dropout_key

    return prepare


def make_drawing(program: Program) -> Callable[[Data, jax.Array, Sequence[jax.Array]], Batch]:
    """Build `(data, indices, keys) -> Batch` that draws crops, augmentation and mixing from keys."""
    recipe = program.recipe
    crop = make_box_strategy(factor=recipe.factor, shuffle=recipe.shuffle, smallest_crop=recipe.smallest_crop)
    rand, strategy = split_strategy(recipe.augment)
    pixelwise, augment = make_rand_augment(rand), make_strategy(strategy, single=recipe.single_operation)
    mix = make_mixing(recipe.mix, recipe.mix_probability)
    recolor = make_recoloring(program)

    def draw(data: Data, indices: jax.Array, keys: Sequence[jax.Array]) -> Batch:
        crop_key, augment_key, mix_key = keys
        pixels = pixelwise(jax.random.fold_in(crop_key, 3), data.images[indices])
        images = to_input(pixels, program.pixel_space, program.normalisation)
        images = augment(augment_key, recolor(augment_key, crop(crop_key, images)))
        images, partners, kept = mix(mix_key, images)
        stored = None if data.soft_labels is None else data.soft_labels[indices].astype(images.dtype)
        if stored is not None and recipe.mix != "none":
            stored = kept * stored + (1 - kept) * stored[partners]
        return Batch(images, data.labels[indices], partners, kept, stored)

    return draw


def make_recoloring(program: Program) -> Augmentation:
    """Build `(key, images [B, H, W, C]) -> images` that changes the colours of pixels from before normalisation."""
    strength, spread = program.recipe.jitter, program.recipe.lighting
    if not strength and not spread:
        return lambda key, images: images

    def recolor(key: jax.Array, images: jax.Array) -> jax.Array:
        statistics = (program.normalisation.mean, program.normalisation.std)
        mean, std = (jnp.asarray(values, images.dtype)[None, None, None, :] for values in statistics)
        raw = random_colors(jax.random.fold_in(key, 1), images * std + mean, strength, spread)
        return (raw - mean) / std

    return recolor


def _make_replay(program: Program, info: StoredInfo) -> Callable[[Data, StoredBatches, Sequence[jax.Array]], Batch]:
    """Build `(data, stored batch, keys) -> Batch`, for which nothing is drawn."""

    def prepare(data: Data, batch: StoredBatches, keys: Sequence[jax.Array]) -> Batch:
        images = data.images[batch.indices]
        images, kept = replay(images, batch, info, program.pixel_space, program.normalisation)
        labels, logits = data.labels[batch.indices], logits_of(batch, info).astype(images.dtype)
        return Batch(images, labels, batch.partners, kept, logits, weights_of(batch))

    return prepare
