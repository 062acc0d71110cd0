"""Pooling by hand, and the maximum's own gradient against XLA's, with ties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gift_jax.models.pooling import _max_pool, max_pool
from gift_jax.runtime.compiling import tracing_for_platform

CASES = [(3, 2, 1, 16), (3, 2, 1, 15), (3, 2, 0, 16), (2, 2, 0, 9), (2, 2, 0, 8), (3, 1, 1, 6), (2, 3, 0, 11)]


@pytest.mark.parametrize(("window", "stride", "padding", "side"), CASES)
def test_the_own_gradient_equals_that_of_xla(window, stride, padding, side):
    """To the bit in float64, with few levels too, so that windows have several largest pixels."""

    @jax.jit
    def both(x, along):
        """Values and gradients, our own and XLA's."""
        pools = (
            (lambda x: max_pool(x, window, stride=stride, padding=padding)),
            (lambda x: _max_pool(x, window, stride, padding)),
        )
        return [(values, backward(along)[0]) for values, backward in (jax.vjp(pool, x) for pool in pools)]

    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        for levels in (3, 1000):
            x = jnp.asarray(generator.integers(0, levels, (2, side, side, 3)).astype(float))
            count = (side + 2 * padding - window) // stride + 1
            along = jnp.asarray(generator.integers(-9, 9, (2, count, count, 3)).astype(float))
            jax.tree.map(np.testing.assert_array_equal, *both(x, along))


def test_other_platforms_keep_the_plain_formula():
    def windows():
        return str(jax.make_jaxpr(lambda x: max_pool(x, 3, stride=2))(jnp.ones((1, 7, 7, 1)))).count("reduce_window")

    assert windows() == 0
    with tracing_for_platform("gpu"):
        assert windows() == 1
