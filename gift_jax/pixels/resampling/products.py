"""Pixels moved, and levels counted and replaced, by products with matrices of ones and zeros."""

import jax
import jax.numpy as jnp

from gift_jax.pixels.resampling.places import LEVELS

# A product that moves pixels must not round them to bfloat16 or TF32.
_EXACT = "highest"
_DOWN, _ACROSS = "bih,bhwc->biwc", "bjw,biwc->bijc"
_DIGIT = 16  # of a level, which has two digits: products with them are exact in bfloat16, and sums in float32


def weigh(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Weighted sums of pixels: `out[b, i, j] = sum_hw rows[b, i, h] columns[b, j, w] images[b, h, w]`.

    Args: images [B, H, W, C]; rows [B, I, H]; columns [B, J, W]. Returns: [B, I, J, C].
    """
    tall = jnp.einsum(_DOWN, rows, images, precision=_EXACT)
    return jnp.einsum(_ACROSS, columns, tall, precision=_EXACT)


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """See `gathers`."""
    return weigh(images, _ones(rows, images.shape[1], images.dtype), _ones(columns, images.shape[2], images.dtype))


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """See `gathers`."""
    return jnp.einsum("ij,jhwc->ihwc", _ones(order[None], len(images), images.dtype)[0], images, precision=_EXACT)


def _ones(source: jax.Array, size: int, dtype: jnp.dtype) -> jax.Array:
    """Ones at source [B, I], of so many places, else zeros: [B, I, size]; a source outside has none."""
    return (source[:, :, None] == jnp.arange(size, dtype=source.dtype)[None, None]).astype(dtype)


def count_levels(images: jax.Array) -> jax.Array:
    """See `gathers`."""
    high, low = _digits(images)
    counts = jnp.einsum("bchp,bclp->bchl", high, low, preferred_element_type=jnp.float32)
    return jnp.swapaxes(counts.reshape(*counts.shape[:2], LEVELS), 1, 2).astype(jnp.int32)


def replace_levels(images: jax.Array, table: jax.Array) -> jax.Array:
    """See `gathers`."""
    high, low = _digits(images)
    by_digits = jnp.swapaxes(table, 1, 2).reshape(*high.shape[:2], _DIGIT, _DIGIT).astype(jnp.bfloat16)
    rows = jnp.einsum("bchl,bchp->bclp", by_digits, high, preferred_element_type=jnp.float32)
    levels = jnp.sum(jnp.where(low > 0, rows, 0), axis=2)
    return jnp.moveaxis(levels.reshape(-1, images.shape[3], *images.shape[1:3]), 1, 3).astype(jnp.uint8)


def _digits(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two digits of every level, each as a one among zeros: bfloat16 [B, C, 16, H * W]."""
    levels = jnp.moveaxis(images, 3, 1).reshape(len(images), images.shape[3], 1, -1).astype(jnp.int32)
    numbers = jnp.arange(_DIGIT, dtype=jnp.int32)[None, None, :, None]
    high, low = ((digit == numbers).astype(jnp.bfloat16) for digit in (levels >> 4, levels & 15))
    return high, low
