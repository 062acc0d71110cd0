"""Pixels moved about: the same functions in two forms, of which the platform decides.

`gathers` looks each pixel up, which CPUs and GPUs do well. `products` multiplies by matrices of ones and zeros, which
TPUs do well: there a gather moves pixel by pixel. docs/accelerators.md has the figures.
"""

from types import ModuleType

import jax

from gift_jax.resampling import gathers, products
from gift_jax.runtime.compiling import platform


def _form() -> ModuleType:
    return products if platform() == "tpu" else gathers


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """`out[b, i, j] = images[b, rows[b, i], columns[b, j]]`, zero where that is outside.

    Args: images [B, H, W, C]; rows, int [B, I]; columns, int [B, J]. Returns: [B, I, J, C].
    """
    return _form().take_pixels(images, rows, columns)


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """`images[order]`. Args: images [B, H, W, C]; order, int [B], inside. Returns: [B, H, W, C]."""
    return _form().take_images(images, order)


def rotate(images: jax.Array, angle: jax.Array, most: float) -> jax.Array:
    """Rotate about the centre by angle [B], in radians between -most and most; bilinear, zero outside.

    Args: images [B, H, W, C]. Reference: `affine_grid` and `grid_sample` of PyTorch (align_corners=False, zero
    padding), whose coordinates are in [-1, 1] of each side, so that a rectangle is sheared.
    """
    return _form().rotate(images, angle, most)
