"""Our own convolutions for the CPU, over few channels and over many, against XLA's."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gift_jax.models.convolution import convolve
from gift_jax.runtime.compiling import tracing_for_platform

NAMES = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride", "padding", "sides"),
    [
        (1, 5, 3, 1, 3, (28, 28)),
        (3, 5, 3, 1, 1, (8, 8)),
        (3, 5, 7, 2, 3, (17, 17)),
        (3, 5, 4, 4, 0, (9, 9)),
        (4, 5, 1, 2, 0, (5, 5)),
        (9, 5, 1, 2, 0, (5, 5)),
        *((64, 80, 3, 1, 1, sides) for sides in [(1, 1), (2, 2), (7, 4), (16, 16)]),
    ],
)
def test_values_and_gradients_equal_those_of_xla(channels, outputs, kernel, stride, padding, sides):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (2, *sides, channels))
        weights = jax.random.normal(keys[1], (kernel, kernel, channels, outputs))
        arguments = ((stride, stride), ((padding, padding), (padding, padding)))

        def plain(x, weights):
            return lax.conv_general_dilated(x, weights, *arguments, dimension_numbers=NAMES)

        def own(x, weights):
            return convolve(x, weights, *arguments, dimension_numbers=NAMES)

        @jax.jit
        def both(x, weights, along):
            """Values and gradients, our own and XLA's."""
            pairs = (jax.vjp(function, x, weights) for function in (own, plain))
            return [(values, *backward(along)) for values, backward in pairs]

        along = jax.random.normal(keys[2], jax.eval_shape(plain, x, weights).shape)
        for mine, theirs in zip(*both(x, weights, along), strict=True):
            assert jnp.allclose(mine, theirs, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(
    ("side", "channels", "size"),
    [(2, 512, 3), (4, 256, 3), (4, 512, 3), (8, 512, 3), (16, 64, 3), (16, 64, 1), (4, 2048, 1)],
)
def test_float32_has_less_than_twice_the_rounding_of_xlas(side, channels, size):
    """Root mean square of the errors against float64, of values and gradients, beside XLA's own."""
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((50, side, side, channels), (size, size, channels, channels), (50, side, side, channels))
    arguments = [jax.random.normal(*pair) for pair in zip(keys, shapes, strict=True)]

    @functools.partial(jax.jit, static_argnums=0)
    def everything(function, x, weights, along):
        def convolved(x, weights):
            return function(x, weights, (1, 1), ((size // 2, size // 2),) * 2, dimension_numbers=NAMES)

        values, backward = jax.vjp(convolved, x, weights)
        return [values, *backward(along)]

    mine, theirs = (everything(one, *arguments) for one in (convolve, lax.conv_general_dilated))
    with jax.enable_x64(True):
        exact = everything(lax.conv_general_dilated, *(array.astype(jnp.float64) for array in arguments))
        for own, xlas, right in zip(mine, theirs, exact, strict=True):
            error, xlas_error = (jnp.std(array.astype(jnp.float64) - right) for array in (own, xlas))
            assert 0 < error < 2 * xlas_error


def test_on_the_cpu_the_weight_gradient_of_few_channels_is_a_product():
    arguments = ((1, 1), ((1, 1), (1, 1)))

    def products(channels, groups=1):
        x, weights = jnp.ones((1, 4, 4, channels)), jnp.ones((3, 3, channels // groups, 8))

        def total(weights):
            options = {"dimension_numbers": NAMES, "feature_group_count": groups}
            return jnp.sum(convolve(x, weights, *arguments, **options))

        return str(jax.make_jaxpr(jax.grad(total))(weights)).count("dot_general")

    assert products(3) == 1
    assert products(8) == products(2, groups=2) == 0


@pytest.mark.parametrize(("side", "size"), [(2, 3), (8, 1)])
def test_small_images_and_kernels_are_one_product(side, size):
    options = {"strides": (1, 1), "padding": ((size // 2, size // 2),) * 2, "dimension_numbers": NAMES}
    convolved = functools.partial(convolve, **options)
    text = str(jax.make_jaxpr(convolved)(jnp.ones((2, side, side, 5)), jnp.ones((size, size, 5, 6))))
    assert (text.count("dot_general"), text.count("conv_general_dilated")) == (1, 0)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "dtype", "own"),
    [
        ((2, 56, 8, 64), (3, 3, 64, 64), 1, 1, "float32", True),
        ((2, 8, 8, 512), (3, 3, 512, 512), 1, 1, "float32", True),
        ((2, 8, 8, 128), (3, 3, 128, 63), 1, 1, "float32", False),
        ((2, 8, 8, 128), (3, 3, 64, 128), 1, 1, "float32", False),
        ((2, 8, 8, 64), (5, 5, 64, 64), 1, 1, "float32", False),
        ((2, 8, 8, 64), (3, 3, 64, 64), 2, 1, "float32", False),
        ((2, 8, 8, 64), (3, 3, 64, 64), 1, 0, "float32", False),
        ((2, 8, 8, 64), (3, 3, 64, 64), 1, 1, "bfloat16", False),
    ],
)
def test_winograds_form_is_for_many_channels_on_the_cpu(shape, kernel, stride, padding, dtype, own):
    x, weights = jnp.ones(shape, dtype), jnp.ones(kernel, dtype)
    options = {"dimension_numbers": NAMES, "feature_group_count": shape[3] // kernel[2]}

    def products():
        convolved = functools.partial(convolve, strides=(stride, stride), padding=((padding, padding),) * 2, **options)
        return str(jax.make_jaxpr(convolved)(x, weights)).count("dot_general")

    assert products() == (16 if own else 0)
    with tracing_for_platform("gpu"):
        assert products() == 0
