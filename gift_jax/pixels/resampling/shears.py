"""Affine maps of square images as three shears by whole pixels, none of which looks a pixel up.

A map that keeps areas is a shear of the columns, one of the rows and one of the columns again. Each is rounded to whole
pixels: it moves every column, or row, by a number of its own. So each pixel of the source has one place in the result,
near the true one, and the pixels around a true place are among those around the result's.
Reference: Paeth (1986), A fast algorithm for general raster rotation.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gift_jax.pixels.resampling.places import kernel_of, linear, mapped, rotated

_BASE = 4  # of the digits of a shift
# Rows and columns from a place's own at which the pixels around it may be, for kernels that reach half a pixel, one
# pixel and two, by the rounding of three shears and by rotations of at most 30, 15 and 30 degrees.
_NEAREST, _LINEAR, _CURVED = (1, 1), (2, 1), (3, 3)
_BEYOND = 2  # pixels beyond an edge that a cubic kernel takes to be as the edge is

_Weigh = Callable[[jax.Array, jax.Array], jax.Array]  # `(rows, columns) -> weights`, all [B, S, S]


class _Shears(NamedTuple):
    """`v += first u`, `u += across v + right`, `v += second u + below`, for columns u and rows v from the middle: [B].

    Their ranges: steepest, the largest angle of rotations; furthest, by how many pixels others move pixels.
    """

    first: jax.Array
    across: jax.Array
    right: jax.Array
    second: jax.Array
    below: jax.Array
    steepest: float
    furthest: int


def rotate(images: jax.Array, angle: jax.Array, most: float) -> jax.Array:
    """See `gathers`; `most` is at most 15 degrees."""
    half, sin, none = jnp.tan(angle / 2), jnp.sin(angle), jnp.zeros_like(angle)
    shears = _Shears(half, -sin, none, half, none, most, furthest=0)
    source_rows, source_columns = rotated(images.shape, angle)

    def weigh(rows: jax.Array, columns: jax.Array) -> jax.Array:
        return linear(source_rows - rows) * linear(source_columns - columns)

    return _sum_around(_move(images, shears, _LINEAR), shears, _LINEAR, weigh)


def map_nearest(images: jax.Array, matrices: jax.Array, steepest: float, furthest: float) -> jax.Array:
    """See `gathers`."""
    source_rows, source_columns = ((places >> 16).astype(jnp.float32) for places in mapped(images.shape, matrices))
    middles = matrices.astype(jnp.float32) / 2**16 - jnp.asarray((0, 0, 0.5, 0, 0, 0.5), jnp.float32)[None]
    shears = _split(middles, images.shape[1], steepest, furthest)

    def weigh(rows: jax.Array, columns: jax.Array) -> jax.Array:
        return ((source_rows == rows) & (source_columns == columns)).astype(jnp.int32)

    taken = _sum_around(_move(_pack(images), shears, _NEAREST), shears, _NEAREST, weigh)
    return _unpack(taken, images.shape[3]).astype(jnp.uint8)


def map_smoothly(
    images: jax.Array, matrices: jax.Array, cubic: jax.Array, steepest: float, furthest: float
) -> jax.Array:
    """See `gathers`."""
    source_rows, source_columns = mapped(images.shape, matrices)
    shears = _split(matrices, images.shape[1], steepest, furthest)

    def weigh(rows: jax.Array, columns: jax.Array) -> jax.Array:
        return kernel_of(cubic, source_rows - rows) * kernel_of(cubic, source_columns - columns)

    margins = ((0, 0), (_BEYOND, _BEYOND), (_BEYOND, _BEYOND), (0, 0))
    moved = _move(jnp.pad(_pack(images), margins, mode="edge"), shears, _CURVED, _BEYOND)
    return _sum_around(_unpack(moved, images.shape[3]).astype(jnp.float32), shears, _CURVED, weigh, apart=True)


def _split(matrices: jax.Array, side: int, steepest: float, furthest: float) -> _Shears:
    """The shears of maps as `mapped` has them: rotations, shears along one axis, and translations."""
    a, b, c, d, e, f = (matrices[:, place] for place in range(6))
    middle = (side - 1) / 2
    right, below = c + (a + b - 1) * middle, f + (d + e - 1) * middle
    turns = b * d != 0
    first = jnp.where(turns, (a - 1) / jnp.where(turns, b, 1), 0)
    second = jnp.where(turns, first, d)
    return _Shears(first, b, right, second, below - second * right, steepest, math.ceil(furthest * side))


def _move(images: jax.Array, shears: _Shears, window: tuple[int, int], beyond: int = 0) -> jax.Array:
    """Shear images [B, S + 2 beyond, S + 2 beyond, C], zero further out; with a window of rows and columns around them.

    Returns: [B, S + 2 rows, S + 2 columns, C].
    """
    side, (high, wide) = images.shape[1] - 2 * beyond, window
    middle, half, sin = (side - 1) / 2, math.tan(shears.steepest / 2), math.sin(shears.steepest)
    first, across, right, second, below = (value[:, None] for value in shears[:5])
    # Rows between the shears that are further out come from outside: a rotation takes none back from there.
    edge = high + 1 + math.ceil((middle + 1) * half**2)

    def numbers(margin: int) -> jax.Array:
        return _numbers(side, margin, first.dtype)[None]

    def furthest(slope: float, margin: int) -> int:
        return max(shears.furthest, math.ceil(slope * (middle + margin)))

    down = jnp.round(second * numbers(beyond) + below)[:, None, :, None]
    images = _shift(images, down, most=furthest(half, beyond), beyond=edge - beyond, axis=1)
    aside = jnp.round(across * numbers(edge) + right)[:, :, None, None]
    images = _shift(images, aside, most=furthest(sin, edge), beyond=wide - beyond, axis=2)
    down = jnp.round(first * numbers(wide))[:, None, :, None]
    return _shift(images, down, most=math.ceil(half * (middle + wide)), beyond=high - edge, axis=1)


def _sum_around(
    moved: jax.Array, shears: _Shears, window: tuple[int, int], weigh: _Weigh, *, apart: bool = False
) -> jax.Array:
    """Sum the pixels around each place of the result, weighed by their rows and columns in the source.

    Args: moved, of `_move`; apart, whether the window's rows are summed one after another: the compiler would hold all
    weights of a large window at once.
    """
    high, wide = window
    side = moved.shape[1] - 2 * high
    middle, own = (side - 1) / 2, _numbers(side, 0, shears.first.dtype)
    first, across, right, second, below = (value[:, None, None] for value in shears[:5])
    total = jnp.zeros((len(moved), side, side, moved.shape[3]), moved.dtype)
    for row in range(-high, high + 1):
        for column in range(-wide, wide + 1):
            u = (own + column)[None, None, :]
            v = (own + row)[None, :, None] + jnp.round(first * u)
            u = u + jnp.round(across * v + right)
            v = v + jnp.round(second * u + below)
            top, left = high + row, wide + column
            pixels = moved[:, top : top + side, left : left + side]
            total += weigh(v + middle, u + middle)[..., None] * pixels
        total = jax.lax.optimization_barrier(total) if apart else total
    return total


def _numbers(side: int, margin: int, dtype: jnp.dtype) -> jax.Array:
    """Numbers of rows or columns from the middle, so many beyond the ends."""
    return jnp.arange(-margin, side + margin).astype(dtype) - (side - 1) / 2


def _shift(images: jax.Array, shift: jax.Array, *, most: int, beyond: int, axis: int) -> jax.Array:
    """`out[i] = images[i + shift]` along an axis, from -beyond to its end and as far beyond; zero outside.

    Args: shift, whole numbers between -most and most that broadcast to images, the same along the axis.
    """
    # Digit by digit each pixel takes one of a few shifts of the whole array.
    digits, largest = max(math.ceil(math.log(2 * most + 1, _BASE) - 1e-9), 1), 2 * most
    first, span = _BASE ** (digits - 1), images.shape[axis] + 2 * beyond
    margins = [(0, 0, 0)] * images.ndim
    margins[axis] = (beyond + most, beyond + (largest // first + 1) * first - 1 - most, 0)
    moved, rest = jax.lax.pad(images, jnp.zeros((), images.dtype), margins), shift.astype(jnp.int32) + most
    for step in (_BASE**place for place in reversed(range(digits))):
        digit, rest = jnp.divmod(rest, step)
        starts = range(0, largest + 1, step)
        parts = [jax.lax.slice_in_dim(moved, start, start + span + step - 1, axis=axis) for start in starts]
        moved, largest = parts[0], step - 1
        for number, part in enumerate(parts[1:], 1):
            moved = jnp.where(digit == number, part, moved)
    return moved


def _pack(images: jax.Array) -> jax.Array:
    """Up to three 8-bit channels in one whole number: [B, H, W, 1]."""
    channels = (images[..., k, None].astype(jnp.int32) << 8 * k for k in range(images.shape[3]))
    return functools.reduce(jnp.bitwise_or, channels)


def _unpack(packed: jax.Array, channels: int) -> jax.Array:
    """Channels of `_pack`: int32 [B, H, W, C]."""
    return packed >> (8 * jnp.arange(channels, dtype=jnp.int32))[None, None, None] & 255
