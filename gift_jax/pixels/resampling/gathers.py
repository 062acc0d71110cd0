"""Pixels moved, and levels counted and replaced, by looking each one up."""

import jax
import jax.numpy as jnp

from gift_jax.pixels.resampling.places import LEVELS, kernel_of, mapped, rotated


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """`out[b, i, j] = images[b, rows[b, i], columns[b, j]]`, zero where that is outside.

    Args: images [B, H, W, C]; rows, int [B, I]; columns, int [B, J]. Returns: [B, I, J, C].
    """
    return _take(_take(images, rows, axis=1), columns, axis=2)


def _take(images: jax.Array, source: jax.Array, *, axis: int) -> jax.Array:
    size = images.shape[axis]
    along = (len(source), -1, 1, 1) if axis == 1 else (len(source), 1, -1, 1)
    taken = jnp.take_along_axis(images, jnp.clip(source, 0, size - 1).reshape(along), axis=axis)
    return jnp.where(((source >= 0) & (source < size)).reshape(along), taken, jnp.zeros_like(taken))


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """`images[order]`. Args: images [B, H, W, C]; order, int [B], inside. Returns: [B, H, W, C]."""
    return images[order]


def rotate(images: jax.Array, angle: jax.Array, most: float) -> jax.Array:
    """Rotate about the centre by angle [B], in radians between -most and most; bilinear, zero outside.

    Args: images [B, H, W, C]. Reference: `affine_grid` and `grid_sample` of PyTorch (align_corners=False, zero
    padding), whose coordinates are in [-1, 1] of each side, so that a rectangle is sheared.
    """
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


def map_nearest(images: jax.Array, matrices: jax.Array, steepest: float, furthest: float) -> jax.Array:
    """Take pixel (x, y) from `(a x + b y + c, d x + e y + f) // 2^16`, zero where that is outside.

    Args: images, uint8 [B, H, W, C]; matrices, int [B, 6], (a, b, c, d, e, f): rotations by steepest, in radians, at
    most, or shears along one axis and translations that move pixels by the part furthest of a side at most.
    Returns: uint8 [B, H, W, C].
    """
    rows, columns = (places >> 16 for places in mapped(images.shape, matrices))
    return jnp.where(_inside(images, rows, columns)[..., None], _any_pixel(images, rows, columns), jnp.uint8(0))


def map_smoothly(
    images: jax.Array, matrices: jax.Array, cubic: jax.Array, steepest: float, furthest: float
) -> jax.Array:
    """Interpolate pixel (x, y) at `(a x + b y + c, d x + e y + f)`; pixels beyond the edge are as on it.

    Args: as for `map_nearest`, with matrices of floats; cubic, bool [B], whether an image is interpolated so, rather
    than bilinearly. Returns: float [B, H, W, C], anything where the place is outside of the image.
    """
    height, width = images.shape[1:3]
    rows, columns = mapped(images.shape, matrices)
    top, left = jnp.floor(rows), jnp.floor(columns)
    total = jnp.zeros(images.shape, jnp.float32)
    for i in range(-1, 3):
        row, down = jnp.clip((top + i).astype(jnp.int32), 0, height - 1), kernel_of(cubic, rows - top - i)
        for j in range(-1, 3):
            column, across = jnp.clip((left + j).astype(jnp.int32), 0, width - 1), kernel_of(cubic, columns - left - j)
            total += (down * across)[..., None] * _any_pixel(images, row, column).astype(jnp.float32)
    return total


def _pixel(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """`out[b, i, j] = images[b, rows[b, i, j], columns[b, i, j]]`, zero where that is outside."""
    batch, height, width, channels = images.shape
    known = _inside(images, rows, columns)
    index = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
    flat = images.reshape(batch, height * width, channels)
    values = jnp.take_along_axis(flat, index.reshape(batch, height * width, 1), axis=1)
    return jnp.where(known[..., None], values.reshape(images.shape), jnp.zeros_like(images))


def _inside(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    return (rows >= 0) & (rows < images.shape[1]) & (columns >= 0) & (columns < images.shape[2])


def _any_pixel(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """The same, but any pixel where that is outside."""
    index = (rows * images.shape[2] + columns).reshape(len(images), -1, 1)
    flat = images.reshape(len(images), -1, images.shape[3])
    return jnp.take_along_axis(flat, index, axis=1, mode="clip").reshape(images.shape)


def count_levels(images: jax.Array) -> jax.Array:
    """How many pixels have each level. Args: images, uint8 [B, H, W, C]. Returns: int32 [B, 256, C]."""
    batch, _, _, channels = images.shape
    rows, planes = jnp.arange(batch)[:, None, None], jnp.arange(channels)[None, None, :]
    values = images.reshape(batch, -1, channels).astype(jnp.int32)
    return jnp.zeros((batch, LEVELS, channels), jnp.int32).at[rows, values, planes].add(1)


def replace_levels(images: jax.Array, table: jax.Array) -> jax.Array:
    """`out[b, i, j, c] = table[b, images[b, i, j, c], c]`.

    Args: images, uint8 [B, H, W, C]; table, uint8 [B, 256, C]. Returns: uint8 [B, H, W, C].
    """
    values = images.reshape(len(images), -1, images.shape[3]).astype(jnp.int32)
    return jnp.take_along_axis(table, values, axis=1).reshape(images.shape)
