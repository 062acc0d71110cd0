"""Convolutions over few channels: their weight gradient against XLA's own, in float64."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gift_jax.models.convolution import convolve

NAMES = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding", "side"),
    [(1, 3, 1, 3, 28), (3, 3, 1, 1, 8), (3, 7, 2, 3, 17), (3, 4, 4, 0, 9), (4, 1, 2, 0, 5)],
)
def test_gradients_equal_those_of_xla(channels, kernel, stride, padding, side):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (2, side, side, channels))
        weights = jax.random.normal(keys[1], (kernel, kernel, channels, 5))
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
            assert jnp.allclose(mine, theirs, rtol=1e-11, atol=1e-11)


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
