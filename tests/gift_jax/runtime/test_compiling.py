"""Compiler options are XLA's where it knows them, and none where it does not."""

import jax
import jax.numpy as jnp
import pytest

from gift_jax.runtime import compiling


def test_options_are_for_the_platform_and_reach_the_compiler():
    assert compiling.compiler_options("cpu") == compiling.OPTIONS["cpu"]
    assert compiling.compiler_options("unheard of") == {}


def test_options_that_xla_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(compiling, "OPTIONS", {"cpu": {"xla_cpu_no_such_option": "1"}})
    compiling.compiler_options.cache_clear()
    try:
        assert compiling.compiler_options("cpu") == {}
        assert compiling.jit(lambda x: x + 1)(1.0) == 2.0
    finally:
        compiling.compiler_options.cache_clear()


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 5, 5, 8)])
def test_convolutions_and_reductions_are_the_same_to_rounding(shape, key):
    x = jax.random.normal(key, shape)
    kernel = jax.random.normal(key, (3, 3, shape[-1], 4))

    def loss(kernel):
        out = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.mean(jnp.square(out))

    ours, plain = compiling.jit(jax.grad(loss))(kernel), jax.jit(jax.grad(loss))(kernel)
    assert jnp.abs(ours - plain).max() < 2e-6 * jnp.abs(plain).max()
