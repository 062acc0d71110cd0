"""Layers whose gradients are written out, because what XLA:CPU derives itself moves too much memory.

Each saves only what cannot be computed again, the layer's input. On other platforms they are the plain formulas, which
XLA differentiates. What each brings is in docs/performance.md.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gift_jax.models.layers import row
from gift_jax.models.pooling import avg_pool
from gift_jax.runtime.compiling import platform

PIXELS = (0, 1, 2)  # axes of an image batch [B, H, W, C] other than channels

Normalised = tuple[jax.Array, jax.Array, jax.Array]
"""What the normalisations return: y, and the mean and biased variance of x, with x's rank and no gradient."""


def normalise(x: jax.Array, scale: jax.Array, bias: jax.Array, axes: tuple[int, ...], epsilon: float) -> Normalised:
    """`scale (x - mean) / sqrt(var + epsilon) + bias`, with x's own mean and variance over axes.

    Args: x [B, H, W, C]; scale and bias [C]; axes, `PIXELS` (as BatchNorm) or (1, 2) (as InstanceNorm).
    """
    return (_OWN_NORMALISE if platform() == "cpu" else _normalise)(x, scale, bias, axes, epsilon)


def normalise_relu_pool(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axes: tuple[int, ...], epsilon: float
) -> Normalised:
    """`avg_pool(relu(normalise(x, ...)), 2)` as one function; arguments as `normalise` has them."""
    return (_OWN_NORMALISE_RELU_POOL if platform() == "cpu" else _normalise_relu_pool)(x, scale, bias, axes, epsilon)


def _normalise(x: jax.Array, scale: jax.Array, bias: jax.Array, axes: tuple[int, ...], epsilon: float) -> Normalised:
    mean = jnp.mean(x, axes, keepdims=True)
    var = jnp.mean(jnp.square(x - mean), axes, keepdims=True)
    y = (x - mean) * lax.rsqrt(var + epsilon) * row(scale) + row(bias)
    return y, lax.stop_gradient(mean), lax.stop_gradient(var)


def _normalise_relu_pool(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axes: tuple[int, ...], epsilon: float
) -> Normalised:
    y, mean, var = _normalise(x, scale, bias, axes, epsilon)
    return avg_pool(jax.nn.relu(y), 2), mean, var


def _normalise_backward(axes: tuple[int, ...], epsilon: float, saved: Any, cotangents: Normalised) -> Any:
    del epsilon
    gradient, (x, mean, inverse, *_) = cotangents[0], saved
    total = jnp.sum(gradient, axes, keepdims=True)
    along = jnp.sum(gradient * (x - mean), axes, keepdims=True) * inverse
    return _gradients(axes, saved, gradient, total, along)


def _normalise_relu_pool_backward(axes: tuple[int, ...], epsilon: float, saved: Any, cotangents: Normalised) -> Any:
    del epsilon
    x, mean, inverse, scale, bias = saved
    quarter = cotangents[0] * jnp.asarray(0.25, x.dtype)
    slope, (height, width) = inverse * row(scale), quarter.shape[1:3]

    def passed(x: jax.Array) -> jax.Array:
        return (x - mean) * slope + row(bias) > 0

    # Summed over each window first: arrays a quarter as large as x.
    windows = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2, -1)
    cells = [windows[:, :, i, :, j] for i in range(2) for j in range(2)]
    counts = sum(passed(cell).astype(x.dtype) for cell in cells)
    deviations = sum(jnp.where(passed(cell), cell - mean, 0) for cell in cells)
    by_count, by_deviation = lax.optimization_barrier((quarter * counts, quarter * deviations))
    total = jnp.sum(by_count, axes, keepdims=True)
    along = jnp.sum(by_deviation, axes, keepdims=True) * inverse
    spread = jnp.broadcast_to(quarter[:, :, None, :, None], windows.shape).reshape(len(x), 2 * height, 2 * width, -1)
    cut = ((0, 0), (0, x.shape[1] - 2 * height), (0, x.shape[2] - 2 * width), (0, 0))
    gradient = jnp.where(passed(x), jnp.pad(spread, cut), 0)
    return _gradients(axes, saved, gradient, total, along)


def _gradients(axes: tuple[int, ...], saved: Any, gradient: jax.Array, total: jax.Array, along: jax.Array) -> Any:
    """Gradients by x, scale and bias, from the one by `normalise`'s y.

    Args: total and along, the sums over axes of gradient, and of gradient times the normalised x.
    """
    x, mean, inverse, scale, _ = saved
    count = x.size // mean.size
    mixed = gradient - total / count - (x - mean) * (inverse * along / count)
    by_x = lax.optimization_barrier(mixed * (inverse * row(scale)))
    return by_x, jnp.sum(along, PIXELS), jnp.sum(total, PIXELS)


def _with_gradient(function: Callable[..., Normalised], backward: Callable[..., Any]) -> Callable[..., Normalised]:
    """The function with backward as its gradient, for which x, its statistics and the weights are saved."""

    def forward(
        x: jax.Array, scale: jax.Array, bias: jax.Array, axes: tuple[int, ...], epsilon: float
    ) -> tuple[Normalised, Any]:
        y, mean, var = function(x, scale, bias, axes, epsilon)
        # Without the barrier XLA computes y again wherever it is read, in an order that suits the reader.
        return (lax.optimization_barrier(y), mean, var), (x, mean, lax.rsqrt(var + epsilon), scale, bias)

    own = jax.custom_vjp(function, nondiff_argnums=(3, 4))
    own.defvjp(forward, backward)
    return own


_OWN_NORMALISE = _with_gradient(_normalise, _normalise_backward)
_OWN_NORMALISE_RELU_POOL = _with_gradient(_normalise_relu_pool, _normalise_relu_pool_backward)
