"""Normalisation with its own gradient against JAX's derivative of the plain formula, in float64."""

import jax
import jax.numpy as jnp
import pytest

from gift_jax.models import fused

EPSILON = 1e-5


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def draw(shape, seed=0):
    x, scale, bias, weight = jax.random.split(jax.random.key(seed), 4)
    scale, bias = (jax.random.normal(key, shape[-1:]) for key in (scale, bias))
    return jax.random.normal(x, shape) * 2 + 1, scale, bias, weight


@pytest.mark.parametrize("name", ["normalise", "normalise_relu_pool"])
@pytest.mark.parametrize("axes", [fused.PIXELS, (1, 2)], ids=["batch", "instance"])
@pytest.mark.parametrize("side", [4, 5])  # the last row and column of an odd side are dropped by pooling
def test_values_and_gradients_equal_the_plain_formulas(name, axes, side):
    own, plain = getattr(fused, name), getattr(fused, f"_{name}")
    *arguments, key = draw((3, side, side, 6))

    def outputs(function):
        return jax.jit(function, static_argnums=(3, 4))(*arguments, axes, EPSILON)

    found = outputs(plain)
    weights = jax.random.normal(key, found[0].shape)

    def gradients(function):
        def loss(*arguments):
            return jnp.sum(weights * function(*arguments, axes, EPSILON)[0])

        return jax.jit(jax.grad(loss, (0, 1, 2)))(*arguments)

    for mine, expected in zip(outputs(own), found, strict=True):
        assert jnp.allclose(mine, expected, rtol=1e-13, atol=1e-13)
    for mine, expected in zip(gradients(own), gradients(plain), strict=True):
        assert mine.shape == expected.shape
        assert jnp.allclose(mine, expected, rtol=1e-11, atol=1e-11)


def test_the_cpu_uses_the_gradient_of_its_own(monkeypatch):
    *arguments, _ = draw((2, 4, 4, 3))

    def saved():  # arrays that the forward pass keeps, as large as x
        _, backward = jax.vjp(lambda *a: fused.normalise(*a, fused.PIXELS, EPSILON)[0], *arguments)
        return sum(getattr(leaf, "shape", ()) == arguments[0].shape for leaf in jax.tree.leaves(backward))

    assert saved() == 1
    monkeypatch.setattr(fused, "platform", lambda: "tpu")
    assert saved() > 1
