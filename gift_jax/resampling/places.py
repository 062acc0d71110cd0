"""Where the pixels of a rotated image come from."""

import jax
import jax.numpy as jnp


def rotated(shape: tuple[int, ...], angle: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows and columns, float [B, H, W], in pixels of images of this shape. Args: angle [B], in radians."""
    height, width = shape[1:3]
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    y = ((jnp.arange(height, dtype=angle.dtype) * 2 + 1) / height - 1)[None, :, None]
    x = ((jnp.arange(width, dtype=angle.dtype) * 2 + 1) / width - 1)[None, None, :]
    source_x, source_y = cos * x - sin * y, sin * x + cos * y
    return ((source_y + 1) * height - 1) / 2, ((source_x + 1) * width - 1) / 2
