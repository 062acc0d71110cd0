"""Pixels moved about and levels replaced: the same functions in two forms, of which the platform decides.

`gathers` looks each pixel up, which CPUs and GPUs do well. On TPUs a gather moves pixel by pixel: there `products`
multiplies by matrices of ones and zeros, and `shears` shifts whole arrays. docs/accelerators.md has the figures.
"""

from types import ModuleType

import jax

from gift_jax.pixels.resampling import gathers, products, shears
from gift_jax.runtime.compiling import platform


def _gathers_or(other: ModuleType) -> ModuleType:
    return other if platform() == "tpu" else gathers


def _mapping(images: jax.Array) -> ModuleType:
    """Shears are of square images."""
    return _gathers_or(shears) if images.shape[1] == images.shape[2] else gathers


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """`out[b, i, j] = images[b, rows[b, i], columns[b, j]]`, zero where that is outside.

    Args: images [B, H, W, C]; rows, int [B, I]; columns, int [B, J]. Returns: [B, I, J, C].
    """
    return _gathers_or(products).take_pixels(images, rows, columns)


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """`images[order]`. Args: images [B, H, W, C]; order, int [B], inside. Returns: [B, H, W, C]."""
    return _gathers_or(products).take_images(images, order)


def rotate(images: jax.Array, angle: jax.Array, most: float) -> jax.Array:
    """Rotate about the centre by angle [B], in radians between -most and most; bilinear, zero outside.

    Args: images [B, H, W, C]. Reference: `affine_grid` and `grid_sample` of PyTorch (align_corners=False, zero
    padding), whose coordinates are in [-1, 1] of each side, so that a rectangle is sheared.
    """
    return _mapping(images).rotate(images, angle, most)


def map_nearest(images: jax.Array, matrices: jax.Array, steepest: float, furthest: float) -> jax.Array:
    """Take pixel (x, y) from `(a x + b y + c, d x + e y + f) // 2^16`, zero where that is outside.

    Args: images, uint8 [B, H, W, C]; matrices, int [B, 6], (a, b, c, d, e, f): rotations by steepest, in radians, at
    most, or shears along one axis and translations that move pixels by the part furthest of a side at most.
    Returns: uint8 [B, H, W, C].
    """
    return _mapping(images).map_nearest(images, matrices, steepest, furthest)


def map_smoothly(
    images: jax.Array, matrices: jax.Array, cubic: jax.Array, steepest: float, furthest: float
) -> jax.Array:
    """Interpolate pixel (x, y) at `(a x + b y + c, d x + e y + f)`; pixels beyond the edge are as on it.

    Args: as for `map_nearest`, with matrices of floats; cubic, bool [B], whether an image is interpolated so, rather
    than bilinearly. Returns: float [B, H, W, C], anything where the place is outside of the image.
    """
    return _mapping(images).map_smoothly(images, matrices, cubic, steepest, furthest)


def count_levels(images: jax.Array) -> jax.Array:
    """How many pixels have each level. Args: images, uint8 [B, H, W, C]. Returns: int32 [B, 256, C]."""
    return _gathers_or(products).count_levels(images)


def replace_levels(images: jax.Array, table: jax.Array) -> jax.Array:
    """`out[b, i, j, c] = table[b, images[b, i, j, c], c]`.

    Args: images, uint8 [B, H, W, C]; table, uint8 [B, 256, C]. Returns: uint8 [B, H, W, C].
    """
    return _gathers_or(products).replace_levels(images, table)
