"""3x3 convolutions on the CPU with 16 instead of 36 products for 2x2 outputs: Winograd's F(2x2, 3x3).

`y = A [(G k G') * (B x B')] A'` on tiles x of 4x4 pixels, two apart (Lavin and Gray, 2016,
https://arxiv.org/abs/1509.09308). What it brings is in docs/performance.md.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gift_jax.models.windows import window_places

FEWEST_CHANNELS, MOST_SUMMED = 64, 128
Matrix = Sequence[Sequence[Any]]
_B: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_G: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_A: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))


def suits(x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[tuple[int, int]]) -> bool:
    """Whether `convolve` can take these arguments, and is faster than XLA's own convolution."""
    plain = tuple(strides) == (1, 1) and tuple(map(tuple, padding)) == ((1, 1), (1, 1))
    ungrouped, faster = kernel.shape[2] == x.shape[3], min(kernel.shape[2:]) >= FEWEST_CHANNELS
    return plain and kernel.shape[:2] == (3, 3) and ungrouped and faster and x.dtype != jnp.bfloat16


@jax.custom_vjp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve x [B, H, W, C] with a kernel [3, 3, C, K], padded by a pixel: [B, H, W, K]."""
    return _convolve(x, kernel, 0)


def _convolve(x: jax.Array, kernel: jax.Array, axis: int) -> jax.Array:
    """`convolve`, summed over that axis of the kernel's two of channels."""
    batch, height, width, channels = x.shape
    # A long sum over channels rounds more than XLA's where most of a padded tile is zero: add shorter ones.
    parts = channels // MOST_SUMMED if channels >= MOST_SUMMED * max(height, width) else 1

    def product(tile: jax.Array, weights: jax.Array) -> jax.Array:
        split = jnp.array_split(tile.reshape(-1, channels), parts, 1), jnp.array_split(weights, parts, axis)
        sums = [lax.dot_general(*pair, (((1,), (axis,)), ((), ()))) for pair in zip(*split, strict=True)]
        return functools.reduce(operator.add, sums).reshape(*tile.shape[:3], -1)

    # Sixteen products rather than a batched one, for which all tiles would be copied into one array.
    products = _each(product, _tiles(x), _both_ways(_G, kernel))
    y = jnp.stack([jnp.stack(row, axis=3) for row in _both_ways(_A, products)], axis=2)
    return y.reshape(batch, height + height % 2, width + width % 2, -1)[:, :height, :width]


def _by_kernel(x: jax.Array, gradient: jax.Array) -> jax.Array:
    """The kernel's gradient: `G' [(B x B') * (A' y A)] G` of all tiles x and gradients y of 2x2 outputs."""

    def product(tile: jax.Array, gradients: jax.Array) -> jax.Array:
        return tile.reshape(-1, tile.shape[3]).T @ gradients.reshape(-1, gradients.shape[3])

    by_output = _both_ways(_transposed(_A), _places(gradient, 2, 0))
    by_kernel = _both_ways(_transposed(_G), _each(product, _tiles(x), by_output))
    return jnp.stack([jnp.stack(row) for row in by_kernel])


def _tiles(x: jax.Array) -> Matrix:
    return _both_ways(_B, _places(x, 4, 1))


def _places(x: jax.Array, window: int, padding: int) -> Matrix:
    """What each place of windows two apart has in all of them; x is padded, further where its sides are odd."""
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (padding, padding + height % 2), (padding, padding + width % 2), (0, 0)))
    places = window_places(padded, (window, window), (2, 2), (-(-height // 2), -(-width // 2)))
    return [places[start : start + window] for start in range(0, window**2, window)]


def _each(function: Callable[..., jax.Array], *matrices: Matrix) -> Matrix:
    """A function of the elements of matrices."""
    return [[*map(function, *rows)] for rows in zip(*matrices, strict=True)]


def _transposed(matrix: Matrix) -> Matrix:
    return [*zip(*matrix, strict=True)]


def _both_ways(matrix: Matrix, arrays: Any) -> Matrix:
    """`M X M'` of a matrix of numbers and one of arrays, without products by zero."""

    def times(arrays: Matrix) -> Matrix:
        """`X' M'`."""
        return [[_dot(numbers, column) for numbers in matrix] for column in _transposed(arrays)]

    return times(times(arrays))


def _dot(numbers: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
    pairs = zip(numbers, arrays, strict=True)
    return functools.reduce(
        operator.add, [array if number == 1 else number * array for number, array in pairs if number]
    )


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return convolve(x, kernel), (x, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return _convolve(gradient, kernel[::-1, ::-1], 1), _by_kernel(x, gradient)


convolve.defvjp(_forward, _backward)
