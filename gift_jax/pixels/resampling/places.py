"""Where pixels come from, and the weights of those that lie around a place."""

import jax
import jax.numpy as jnp

LEVELS = 256  # of an 8-bit pixel


def rotated(shape: tuple[int, ...], angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of rotated images of this shape: rows and columns, float [B, H, W], in pixels. Args: angle [B], in radians."""
    height, width = shape[1:3]
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    y = ((jnp.arange(height, dtype=angle.dtype) * 2 + 1) / height - 1)[None, :, None]
    x = ((jnp.arange(width, dtype=angle.dtype) * 2 + 1) / width - 1)[None, None, :]
    source_x, source_y = cos * x - sin * y, sin * x + cos * y
    return ((source_y + 1) * height - 1) / 2, ((source_x + 1) * width - 1) / 2


def mapped(shape: tuple[int, ...], matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows `d x + e y + f` and columns `a x + b y + c` [B, H, W] that pixels (x, y) of images of this shape come from.

    Args: matrices [B, 6], (a, b, c, d, e, f), of whole numbers or not, as the places are.
    """
    y, x = (jnp.arange(size).astype(matrices.dtype) for size in shape[1:3])
    x, y = x[None, None, :], y[None, :, None]
    a, b, c, d, e, f = (matrices[:, place][:, None, None] for place in range(6))
    return d * x + e * y + f, a * x + b * y + c


def linear(distance: jax.Array) -> jax.Array:
    """The bilinear kernel of distances in pixels."""
    return jnp.maximum(1 - jnp.abs(distance), 0)


def kernel_of(cubic: jax.Array, distance: jax.Array) -> jax.Array:
    """For images that are cubic, bool [B], Keys' kernel with a = -1, as Pillow has it; the bilinear one for others.

    Args: distance [B, H, W], in pixels.
    """
    away = jnp.abs(distance)
    square, cube = away**2, away**3
    near, far = 1 - 2 * square + cube, 4 - 8 * away + 5 * square - cube
    curved = jnp.where(away < 1, near, jnp.where(away < 2, far, 0))
    return jnp.where(cubic[:, None, None], curved, linear(distance))
