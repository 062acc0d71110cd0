"""Convolution with a weight gradient of its own where XLA:CPU's is slow: `lax.conv_general_dilated` otherwise.

The gradient is a matrix product an image, (patches)^T @ (gradient of the output), and their sum. With the options of
`compiling.py` XLA's weight gradient is the faster one for wide 3x3 convolutions, and this one for two kinds: few input
channels, and strided 1x1 (docs/performance.md has the figures).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
NARROW = 64  # values a patch, up to which the product wins: 3x3 over three channels has 27

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def convolve(
    images: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    **options: Any,
) -> jax.Array:
    """Convolve images with a kernel; the arguments and the value are `lax.conv_general_dilated`'s.

    Args: images [B, H, W, C_in]; kernel [h, w, C_in / groups, C_out]; padding, pixels ((top, bottom),
    (left, right)); options, further ones. Returns: [B, H', W', C_out]. On the CPU, the kinds of convolution
    in `is_own` have a gradient of reverse mode only.
    """
    dilations = (*(lhs_dilation or ()), *(rhs_dilation or ()))
    plain = feature_group_count == 1 and all(d == 1 for d in dilations) and not any(options.values())
    # By the default platform while tracing, as the compiler options are: so that elsewhere nothing at all is
    # changed, neither the program nor forward-mode differentiation.
    if jax.default_backend() == "cpu" and plain and _is_nhwc(images, kernel, dimension_numbers):
        strides, explicit = tuple(window_strides), tuple(map(tuple, padding))
        if is_own(kernel.shape, strides, explicit):
            return _convolve(images, kernel, strides, explicit)
    return lax.conv_general_dilated(
        images,
        kernel,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        dimension_numbers,
        feature_group_count,
        **options,
    )


def is_own(kernel_shape: Sequence[int], strides: Sequence[int], padding: Sequence[Sequence[int]]) -> bool:
    """Whether the product beats XLA's weight gradient on the CPU, as measured."""
    padded = min(min(pair) for pair in padding) >= 0
    return padded and (
        math.prod(kernel_shape[:3]) <= NARROW or (tuple(kernel_shape[:2]) == (1, 1) and max(strides) > 1)
    )


def _is_nhwc(images: jax.Array, kernel: jax.Array, dimension_numbers: Any) -> bool:
    if images.ndim != 4 or dimension_numbers is None:
        return False
    shapes = images.shape, kernel.shape
    numbers = lax.conv_dimension_numbers(*shapes, dimension_numbers)
    return numbers == lax.conv_dimension_numbers(*shapes, DIMENSIONS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(images: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=DIMENSIONS)


def _forward(
    images: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(images, kernel, strides, padding), (images, kernel)


def _backward(
    strides: Pair, padding: Padding, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = saved

    def by_images(images: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=DIMENSIONS)

    (images_gradient,) = jax.linear_transpose(by_images, images)(gradient)
    return images_gradient, weight_gradient(images, gradient, kernel.shape[:2], strides, padding)


_convolve.defvjp(_forward, _backward)


def weight_gradient(
    images: jax.Array, gradient: jax.Array, window: Sequence[int], strides: Sequence[int], padding: Sequence[Pair]
) -> jax.Array:
    """The kernel's gradient, in the images' dtype and summed in float32 or wider.

    Args: images [B, H, W, C_in]; gradient of the output [B, H', W', C_out]; window (h, w).
    Returns: [h, w, C_in, C_out].
    """
    length, outputs, batch = window[0] * window[1] * images.shape[3], gradient.shape[3], len(images)
    dtype = images.dtype if images.dtype.itemsize >= 4 else jnp.float32
    columns = _patches(images, gradient.shape[1:3], window, strides, padding).reshape(batch, -1, length)
    # A product an image, which run side by side; as a single one, or in a loop, they do not.
    products = lax.dot_general(
        columns, gradient.reshape(batch, -1, outputs), (((1,), (1,)), ((0,), (0,))), preferred_element_type=dtype
    )
    return products.sum(axis=0).reshape(*window, -1, outputs).astype(images.dtype)


def _patches(
    images: jax.Array, size: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: Sequence[Pair]
) -> jax.Array:
    """Every output pixel's window, flattened as the kernel is: [B, *size, h w C]."""
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    ends = [(count - 1) * stride + 1 for count, stride in zip(size, strides, strict=True)]
    slices = [
        padded[:, row : row + ends[0] : strides[0], column : column + ends[1] : strides[1]]
        for row in range(window[0])
        for column in range(window[1])
    ]
    return jnp.concatenate(slices, axis=-1)
