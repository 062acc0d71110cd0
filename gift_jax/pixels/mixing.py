"""Mixing the images of a batch: mixup and CutMix, with explicit draws and with keys."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from gift_jax.pixels.resampling import take_images

Mixing = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]


def mixup(images: jax.Array, partners: jax.Array, lam: jax.Array) -> jax.Array:
    """Blend each image with a partner: `lam x + (1 - lam) x[partners]`.

    Args: images [B, H, W, C]; partners, int [B]; lam, a scalar in [0, 1].
    """
    lam = lam.astype(images.dtype)
    return lam * images + (1 - lam) * take_images(images, partners)


def cutmix(
    images: jax.Array, partners: jax.Array, lam: jax.Array, centre_h: jax.Array, centre_w: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Paste a partner's box, of area near `1 - lam`, into each image of the batch.

    Args: images [B, H, W, C]; partners, int [B]; lam, a scalar in [0, 1]; centre_h, centre_w, int scalars.
    Returns: the images and the share that each keeps of itself (the box is cut at the edges, so that it may
    be more than lam; the official code keeps lam). Reference: CutMix (Yun et al., 2019).
    """
    height, width = images.shape[1:3]
    half = jnp.sqrt(1 - lam) / 2
    rows, columns = jnp.arange(height), jnp.arange(width)
    half_h, half_w = (half * height).astype(jnp.int32), (half * width).astype(jnp.int32)
    inside_h = (rows >= centre_h - half_h) & (rows < centre_h + half_h)
    inside_w = (columns >= centre_w - half_w) & (columns < centre_w + half_w)
    box = inside_h[:, None] & inside_w[None, :]
    kept = 1 - jnp.mean(box, dtype=images.dtype)
    return jnp.where(box[None, :, :, None], take_images(images, partners), images), kept


def no_mix(key: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Leave the images as they are: each is its own partner and keeps all of itself."""
    return images, jnp.arange(images.shape[0]), jnp.ones((), images.dtype)


def random_mixup(key: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`mixup` with lam from Beta(0.8, 0.8). Returns: images, partners int [B], share kept (a scalar)."""
    key_pair, key_lam = jax.random.split(key)
    partners = jax.random.permutation(key_pair, images.shape[0])
    lam = jax.random.beta(key_lam, 0.8, 0.8, dtype=images.dtype)
    return mixup(images, partners, lam), partners, lam


def random_cutmix(key: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`cutmix` with lam from Beta(1, 1). Returns: images, partners int [B], share kept (a scalar)."""
    key_pair, key_lam, key_h, key_w = jax.random.split(key, 4)
    partners = jax.random.permutation(key_pair, images.shape[0])
    lam = jax.random.uniform(key_lam, (), images.dtype)
    centre_h = jax.random.randint(key_h, (), 0, images.shape[1])
    mixed, kept = cutmix(images, partners, lam, centre_h, jax.random.randint(key_w, (), 0, images.shape[2]))
    return mixed, partners, kept


MIXINGS: Mapping[str, Mixing] = {"none": no_mix, "mixup": random_mixup, "cutmix": random_cutmix}


def make_mixing(name: str, probability: float = 1.0) -> Mixing:
    """Build a mixing of `MIXINGS` that leaves a share `1 - probability` of the batches as they are."""
    mixing = MIXINGS[name]
    if name == "none" or probability == 1:
        return mixing

    def mix(key: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        mixed, partners, kept = mixing(key, images)
        chosen = jax.random.bernoulli(jax.random.fold_in(key, 1), probability)
        return jnp.where(chosen, mixed, images), partners, jnp.where(chosen, kept, jnp.ones_like(kept))

    return mix
