"""Convolutions, on the CPU in the form that is fastest there: over few channels with a weight gradient of our own."""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gift_jax.models import winograd
from gift_jax.models.windows import window_places
from gift_jax.runtime.compiling import platform

FEW_CHANNELS = 4
LONGEST_SUM = 256


def convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[tuple[int, int]], **options: Any
) -> jax.Array:
    """`lax.conv_general_dilated` of x [B, H, W, C] and kernel HWIO."""
    if platform() == "cpu":
        if kernel.shape[2] == x.shape[3] <= FEW_CHANNELS:  # and so not grouped
            return _convolve(x, kernel, tuple(strides), tuple(padding))
        if kernel.shape[2] == x.shape[3] and (kernel.shape[:2] == (1, 1) or _small(x, kernel)):
            return _as_product(x, kernel, strides, padding)
        if winograd.suits(x, kernel, strides, padding):
            return winograd.convolve(x, kernel)
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


def _small(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether images are smaller than the kernel, where XLA:CPU takes a hundred times as long as one product."""
    return min(x.shape[1:3]) < max(kernel.shape[:2])


def _as_product(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> jax.Array:
    rows, counts = _patches(x, kernel, strides, padding)
    times = _in_blocks if _small(x, kernel) else jnp.matmul
    return times(rows, kernel.reshape(-1, kernel.shape[3])).reshape(len(x), *counts, -1)


def _in_blocks(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """`rows @ weights`, block by block: shorter sums round less, also in the gradient by rows."""
    inner, outer = (-(-size // LONGEST_SUM) for size in weights.shape)
    strips = zip(jnp.array_split(rows, inner, 1), jnp.array_split(weights, inner), strict=True)
    products = [[part @ block for block in jnp.array_split(strip, outer, 1)] for part, strip in strips]
    return functools.reduce(operator.add, [jnp.concatenate(row, 1) for row in products])


def _patches(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> tuple[jax.Array, list[int]]:
    """What the kernel sees of x, a patch a row; and the output's height and width."""
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    sizes = zip(padded.shape[1:3], kernel.shape[:2], strides, strict=True)
    counts = [(side - size) // stride + 1 for side, size, stride in sizes]
    patches = window_places(padded, kernel.shape[:2], strides, counts)
    return jnp.concatenate(patches, axis=-1).reshape(-1, kernel[..., 0].size), counts


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: tuple[tuple[int, int], ...]
) -> jax.Array:
    """A convolution whose weight gradient, XLA:CPU's generic loop, is one product: patches' transpose by gradient."""
    return _plain(x, kernel, strides, padding)


def _plain(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _convolve_forward(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> tuple[jax.Array, Any]:
    return _convolve(x, kernel, strides, padding), (x, kernel)


def _convolve_backward(strides: Any, padding: Any, saved: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    rows, _ = _patches(x, kernel, strides, padding)
    by_weight = (rows.T @ gradient.reshape(-1, kernel.shape[3])).reshape(kernel.shape)
    by_x = jax.vjp(lambda x: _plain(x, kernel, strides, padding), x)[1](gradient)[0]  # unused for images
    return by_x, by_weight


_convolve.defvjp(_convolve_forward, _convolve_backward)
