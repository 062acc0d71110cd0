"""Pooling as PyTorch has it: mean, maximum, and mean over nearly equal windows."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gift_jax.models.windows import window_places
from gift_jax.runtime.compiling import platform


def avg_pool(x: jax.Array, window: int) -> jax.Array:
    """Non-overlapping mean over window x window pixels, the remainder dropped, as `torch.nn.AvgPool2d`.

    Not `nnx.avg_pool`, which is as fast, but divides by an integer: strict promotion refuses that.
    """
    batch, height, width, channels = x.shape
    rows, columns = height // window, width // window
    cut = x[:, : rows * window, : columns * window]
    if platform() == "tpu":  # where a reshape of pixels is a copy
        windows = (1, window, window, 1)
        total = jax.lax.reduce_window(cut, 0.0, jax.lax.add, windows, windows, "VALID")
    else:
        cut = cut.reshape(batch, rows, window, columns, window, channels)
        total = sum(cut[:, :, i, :, j] for i in range(window) for j in range(window))
    return total * jnp.asarray(1 / window**2, x.dtype)


def max_pool(x: jax.Array, window: int, *, stride: int, padding: int = 0) -> jax.Array:
    """Maximum over window x window pixels, padding never the maximum, as `torch.nn.MaxPool2d`.

    Of equal pixels the first gets the gradient. On the CPU, windows and gradient are written out: XLA goes through
    them one by one (docs/performance.md).
    """
    return (_OWN_MAX_POOL if platform() == "cpu" else _max_pool)(x, window, stride, padding)


def _max_pool(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    border = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    strides, windows = (1, stride, stride, 1), (1, window, window, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, windows, strides, border)


def _largest(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    return functools.reduce(jnp.maximum, _parts(x, window, stride, padding))


_OWN_MAX_POOL: Any = functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))(_largest)


def _parts(x: jax.Array, window: int, stride: int, padding: int) -> list[jax.Array]:
    """The pixel at each place of all windows."""
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=-jnp.inf)
    counts = [(size - window) // stride + 1 for size in padded.shape[1:3]]
    return window_places(padded, (window, window), (stride, stride), counts)


def _max_pool_forward(x: jax.Array, window: int, stride: int, padding: int) -> tuple[jax.Array, Any]:
    y = _largest(x, window, stride, padding)
    return y, (x, y)


def _max_pool_backward(window: int, stride: int, padding: int, saved: Any, gradient: jax.Array) -> tuple[jax.Array]:
    x, y = saved
    _, rows, columns, _ = y.shape
    first = jnp.full(y.shape, window**2, jnp.uint8)
    for place, part in reversed([*enumerate(_parts(x, window, stride, padding))]):
        first = jnp.where(part == y, jnp.uint8(place), first)
    # Pixels whose rows and whose columns leave the same rest by the stride are reached by the same places of windows.
    reach = (window - 1) // stride
    high, wide = (
        max(-(-(padding + size) // stride), count + reach)
        for size, count in zip(x.shape[1:3], (rows, columns), strict=True)
    )
    border = ((0, 0), (reach, high - rows), (reach, wide - columns), (0, 0))
    # Without the barrier XLA would look for the first maximum once more in each of the terms below.
    first, given = lax.optimization_barrier(
        (jnp.pad(first, border, constant_values=window**2), jnp.pad(gradient, border))
    )
    rests = []
    for down, right in itertools.product(range(stride), repeat=2):
        total = jnp.zeros((len(x), high, wide, x.shape[3]), gradient.dtype)
        for i, j in itertools.product(range(down, window, stride), range(right, window, stride)):
            above, before = reach - i // stride, reach - j // stride
            cut = (slice(None), slice(above, above + high), slice(before, before + wide))
            total += jnp.where(first[cut] == i * window + j, given[cut], jnp.zeros_like(given[cut]))
        rests.append(total)
    together = jnp.stack(rests).reshape(stride, stride, len(x), high, wide, x.shape[3]).transpose(2, 3, 0, 4, 1, 5)
    whole = together.reshape(len(x), high * stride, wide * stride, x.shape[3])
    return (whole[:, padding : padding + x.shape[1], padding : padding + x.shape[2]],)


_OWN_MAX_POOL.defvjp(_max_pool_forward, _max_pool_backward)


def adaptive_avg_pool(x: jax.Array, size: int) -> jax.Array:
    """Mean over size x size nearly equal windows, as `torch.nn.AdaptiveAvgPool2d`: x [B, H, W, C] of any side.

    Window i covers pixels floor(i H / size) to ceil((i + 1) H / size) - 1; windows may overlap.
    """
    rows, columns = (_window_means(length, size, x.dtype) for length in x.shape[1:3])
    tall = jnp.einsum("ih,bhwc->biwc", rows, x, precision="highest")
    return jnp.einsum("jw,biwc->bijc", columns, tall, precision="highest")


def _window_means(length: int, size: int, dtype: jnp.dtype) -> jax.Array:
    windows = np.zeros((size, length))
    for i in range(size):
        windows[i, i * length // size : -(-(i + 1) * length // size)] = 1
    return jnp.asarray(windows / windows.sum(axis=1, keepdims=True), dtype)
