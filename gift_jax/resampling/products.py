"""Pixels moved by products with matrices of ones and zeros, and by shifts of whole arrays."""

import functools
import math

import jax
import jax.numpy as jnp

from gift_jax.resampling import gathers
from gift_jax.resampling.places import rotated

# A product that moves pixels must not round them to bfloat16 or TF32.
_EXACT = "highest"
# Rows and columns that a rotated pixel may lie between, counted from where it is looked for. Rows: a scaled place and a
# shear are rounded, by 1 and by 1/2, and a column beside the place is sheared by tan 15 degrees more. Columns likewise.
_ROWS, _COLUMNS = range(-1, 3), range(-2, 3)


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """See `gift_jax.resampling`."""
    return _take(_take(images, rows, "bih,bhwc->biwc", axis=1), columns, "bjw,biwc->bijc", axis=2)


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """See `gift_jax.resampling`."""
    return _take(images[None], order[None], "bij,bjhwc->bihwc", axis=1)[0]


def _take(images: jax.Array, source: jax.Array, axes: str, *, axis: int) -> jax.Array:
    """What stands at source [B, I] of an axis, by a product over it; zero outside."""
    chosen = (source[:, :, None] == jnp.arange(images.shape[axis], dtype=source.dtype)[None, None]).astype(images.dtype)
    return jnp.einsum(axes, chosen, images, precision=_EXACT)


def rotate(images: jax.Array, angle: jax.Array, most: float) -> jax.Array:
    """See `gift_jax.resampling`; `most` is at most 15 degrees.

    A rotation is a shear of the columns, a scaling of the rows by 1 / cos, a shear of the rows and a scaling of the
    columns by cos. Here shears and scalings are rounded to whole pixels. The four pixels that a place lies between are
    then among a few candidates beside it, to each of which the bilinear kernel gives its weight, often zero.
    """
    size, dtype = images.shape[1], images.dtype
    if size != images.shape[2]:
        return gathers.rotate(images, angle, most)
    middle, cos, sin = (size - 1) / 2, jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    downwards, rightwards = sin / cos, -sin * cos  # slopes of the two shears

    # Pixels beyond the image that are reached: by rows that are scaled, and by candidates.
    edge, side = math.ceil(middle * (1 / math.cos(most) - 1)) + max(_ROWS), max(_COLUMNS) + 1
    pixels, rows = (jnp.arange(-beyond, size + beyond, dtype=dtype)[None] for beyond in (0, edge))
    down = jnp.round(downwards * (pixels - middle))[:, None, :, None]
    sheared = _shift(images, down, most=math.ceil(math.tan(most) * middle), beyond=edge, axis=1)
    right = jnp.round(rightwards * (rows - middle))[:, :, None, None]
    furthest = math.ceil(math.sin(most) * math.cos(most) * (middle + edge))
    sheared = _shift(sheared, right, most=furthest, beyond=side, axis=2)

    below, beside = jnp.floor((pixels - middle) / cos + middle), jnp.round((pixels - middle) * cos + middle)
    source_rows, source_columns = rotated(images.shape, angle)
    total = jnp.zeros_like(images)
    for row in (below + k for k in _ROWS):
        tall = _take(sheared, row + edge, "bir,brwc->biwc", axis=1)
        right = jnp.round(rightwards * (row - middle))[:, :, None]
        for column in (beside + k for k in _COLUMNS):
            candidates = _take(tall, column + side, "bjw,biwc->bijc", axis=2)
            source_column = column[:, None, :] + right
            source_row = row[:, :, None] + jnp.round(downwards[:, :, None] * (source_column - middle))
            weights = _kernel(source_rows - source_row) * _kernel(source_columns - source_column)
            total += weights[..., None] * candidates
    return total


def _kernel(distance: jax.Array) -> jax.Array:
    """The bilinear kernel of distances in pixels."""
    return jnp.maximum(1 - jnp.abs(distance), 0)


def _shift(images: jax.Array, shift: jax.Array, *, most: int, beyond: int, axis: int) -> jax.Array:
    """`out[i] = images[i + shift]` along an axis, from -beyond to its end and as far beyond; zero outside.

    Args: shift, whole numbers between -most and most that broadcast to images, the same along the axis.
    """
    # In two digits: of a few shifts of the whole array each pixel takes one, twice.
    base = math.isqrt(2 * most) + 1
    coarse, fine = jnp.divmod(shift.astype(jnp.int32) + most, base)
    length = images.shape[axis] + 2 * beyond
    margins = [(0, 0)] * images.ndim
    margins[axis] = (beyond + most, beyond + base**2 - 1 - most)
    shifted = jnp.pad(images, margins)
    for digit, step, reached in ((coarse, base, length + base - 1), (fine, 1, length)):
        parts = [jax.lax.slice_in_dim(shifted, k * step, k * step + reached, axis=axis) for k in range(base)]
        shifted = functools.reduce(jnp.add, (jnp.where(digit == k, part, 0) for k, part in enumerate(parts)))
    return shifted
