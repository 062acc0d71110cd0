"""Pixels moved by looking each one up."""

import jax
import jax.numpy as jnp

from gift_jax.resampling.places import rotated


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """See `gift_jax.resampling`."""
    return _take(_take(images, rows, axis=1), columns, axis=2)


def _take(images: jax.Array, source: jax.Array, *, axis: int) -> jax.Array:
    size = images.shape[axis]
    along = (len(source), -1, 1, 1) if axis == 1 else (len(source), 1, -1, 1)
    taken = jnp.take_along_axis(images, jnp.clip(source, 0, size - 1).reshape(along), axis=axis)
    return jnp.where(((source >= 0) & (source < size)).reshape(along), taken, jnp.zeros_like(taken))


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """See `gift_jax.resampling`."""
    return images[order]


def rotate(images: jax.Array, angle: jax.Array, most: float) -> jax.Array:
    """See `gift_jax.resampling`."""
    del most
    rows, columns = rotated(images.shape, angle)
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    return (
        _pixel(images, top, left) * (1 - down) * (1 - right)
        + _pixel(images, top, left + 1) * (1 - down) * right
        + _pixel(images, top + 1, left) * down * (1 - right)
        + _pixel(images, top + 1, left + 1) * down * right
    )


def _pixel(images: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    batch, height, width, channels = images.shape
    known = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
    flat = images.reshape(batch, height * width, channels)
    values = jnp.take_along_axis(flat, index.reshape(batch, height * width, 1), axis=1)
    return jnp.where(known[..., None], values.reshape(images.shape), jnp.zeros_like(images))
