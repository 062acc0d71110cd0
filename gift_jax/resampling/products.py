"""Pixels moved by products with matrices of ones and zeros, and by shifts of whole arrays."""

import functools
import math

import jax
import jax.numpy as jnp

from gift_jax.resampling import gathers
from gift_jax.resampling.places import rotated

# A product that moves pixels must not round them to bfloat16 or TF32.
_EXACT = "highest"
_DOWN, _ACROSS = "bih,bhwc->biwc", "bjw,biwc->bijc"
# Rows and columns that a rotated pixel may lie between, counted from where it is looked for. Rows: a scaled place and a
# shear are rounded, by 1 and by 1/2, and a column beside the place is sheared by tan 15 degrees more. Columns likewise.
_ROWS, _COLUMNS = range(-1, 3), range(-2, 3)


def weigh(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Weighted sums of pixels: `out[b, i, j] = sum_hw rows[b, i, h] columns[b, j, w] images[b, h, w]`.

    Args: images [B, H, W, C]; rows [B, I, H]; columns [B, J, W]. Returns: [B, I, J, C].
    """
    tall = jnp.einsum(_DOWN, rows, images, precision=_EXACT)
    return jnp.einsum(_ACROSS, columns, tall, precision=_EXACT)


def take_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """See `gift_jax.resampling`."""
    return weigh(images, _ones(rows, images.shape[1], images.dtype), _ones(columns, images.shape[2], images.dtype))


def take_images(images: jax.Array, order: jax.Array) -> jax.Array:
    """See `gift_jax.resampling`."""
    return jnp.einsum("ij,jhwc->ihwc", _ones(order[None], len(images), images.dtype)[0], images, precision=_EXACT)


def _ones(source: jax.Array, size: int, dtype: jnp.dtype) -> jax.Array:
    """Ones at source [B, I], of so many places, else zeros: [B, I, size]; a source outside has none."""
    return (source[:, :, None] == jnp.arange(size, dtype=source.dtype)[None, None]).astype(dtype)


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
        tall = jnp.einsum(_DOWN, _ones(row + edge, sheared.shape[1], dtype), sheared, precision=_EXACT)
        right = jnp.round(rightwards * (row - middle))[:, :, None]
        for column in (beside + k for k in _COLUMNS):
            chosen = _ones(column + side, sheared.shape[2], dtype)
            candidates = jnp.einsum(_ACROSS, chosen, tall, precision=_EXACT)
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
