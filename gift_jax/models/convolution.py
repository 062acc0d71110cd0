"""Convolutions over few channels, whose weight gradient XLA:CPU leaves to a generic loop."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gift_jax.runtime.compiling import platform

FEW_CHANNELS = 4


def convolve(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[tuple[int, int]], **options: Any
) -> jax.Array:
    """`lax.conv_general_dilated` of x [B, H, W, C] and kernel HWIO; over few channels with `_convolve`'s gradient."""
    few = kernel.shape[2] == x.shape[3] <= FEW_CHANNELS  # and so not grouped
    if few and platform() == "cpu":
        return _convolve(x, kernel, tuple(strides), tuple(padding))
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


def window_places(
    padded: jax.Array, window: Sequence[int], strides: Sequence[int], counts: Sequence[int]
) -> list[jax.Array]:
    """What each place of a window has in all windows, row by row: arrays [B, *counts, C], a place each.

    Args: padded, [B, H, W, C]; window, its height and width; strides of windows, and counts of them, down and across.
    """
    (down, right), (rows, columns) = strides, counts
    return [
        padded[:, i : i + down * (rows - 1) + 1 : down, j : j + right * (columns - 1) + 1 : right]
        for i in range(window[0])
        for j in range(window[1])
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: tuple[tuple[int, int], ...]
) -> jax.Array:
    """A convolution whose weight gradient is one product: the patches' transpose by the output's gradient."""
    return _plain(x, kernel, strides, padding)


def _plain(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _convolve_forward(x: jax.Array, kernel: jax.Array, strides: Any, padding: Any) -> tuple[jax.Array, Any]:
    return _convolve(x, kernel, strides, padding), (x, kernel)


def _convolve_backward(strides: Any, padding: Any, saved: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    patches = window_places(padded, kernel.shape[:2], strides, gradient.shape[1:3])
    rows = jnp.concatenate(patches, axis=-1).reshape(-1, kernel[..., 0].size)
    by_weight = (rows.T @ gradient.reshape(-1, kernel.shape[3])).reshape(kernel.shape)
    by_x = jax.vjp(lambda x: _plain(x, kernel, strides, padding), x)[1](gradient)[0]  # unused for images
    return by_x, by_weight


_convolve.defvjp(_convolve_forward, _convolve_backward)
