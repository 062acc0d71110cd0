"""The convolution's value and gradients are `lax.conv_general_dilated`'s, wherever its own gradient is used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from gift_jax.models.convolution import DIMENSIONS, convolve, is_own, weight_gradient
from gift_jax.models.layers import conv

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-12}


def arrays(batch, side, inputs, outputs, kernel, groups=1, dtype=np.float32):
    draw = np.random.default_rng(0)
    images = draw.normal(size=(batch, *side, inputs)).astype(dtype)
    return images, draw.normal(size=(kernel, kernel, inputs // groups, outputs)).astype(dtype)


def with_gradients(function, images, kernel, strides, padding, groups):
    def run(images, kernel):
        return function(images, kernel, strides, padding, dimension_numbers=DIMENSIONS, feature_group_count=groups)

    out, pull = jax.vjp(run, images, kernel)
    weights = np.random.default_rng(1).normal(size=out.shape).astype(out.dtype)
    return out, *pull(jnp.asarray(weights))


def assert_same(images, kernel, strides=(1, 1), padding=((1, 1), (1, 1)), groups=1):
    found = with_gradients(convolve, images, kernel, strides, padding, groups)
    expected = with_gradients(jax.lax.conv_general_dilated, images, kernel, strides, padding, groups)
    for ours, xlas in zip(found, expected, strict=True):
        assert ours.dtype == xlas.dtype
        difference = np.abs(np.asarray(ours) - np.asarray(xlas)).max(initial=0)
        assert difference <= TOLERANCE[images.dtype.type] * np.abs(xlas).max(initial=0)


CASES = {
    "first layer": ((5, (9, 9), 3, 8, 3), {}),
    "grey, wide padding": ((3, (7, 5), 1, 4, 3), {"padding": ((3, 3), (3, 3))}),
    "strided": ((4, (9, 8), 3, 4, 3), {"strides": (2, 2)}),
    "strided 1x1": ((6, (7, 7), 80, 4, 1), {"strides": (2, 2), "padding": ((0, 0), (0, 0))}),
    "strides of two kinds": ((2, (8, 9), 70, 4, 1), {"strides": (3, 1), "padding": ((0, 0), (0, 0))}),
    "uneven padding": ((2, (6, 7), 2, 4, 3), {"padding": ((0, 1), (2, 0))}),
    "groups, XLA's own": ((2, (6, 6), 4, 4, 3, 2), {"groups": 2}),
    "wide, XLA's own": ((2, (6, 6), 16, 4, 3), {}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients_are_xlas(case, dtype):
    shape, options = CASES[case]
    with jax.enable_x64(dtype is np.float64):
        images, kernel = arrays(*shape, dtype=dtype)
        own = is_own(kernel.shape, options.get("strides", (1, 1)), options.get("padding", ((1, 1), (1, 1))))
        assert (own and "groups" not in options) != ("XLA" in case)
        assert_same(images, kernel, **options)


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(1, 7),
    side=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    inputs=st.integers(1, 4),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)
def test_any_shape_has_xlas_gradients(batch, side, inputs, kernel, stride, padding):
    images, weights = arrays(batch, side, inputs, 3, kernel)
    assert_same(images, weights, strides=(stride, stride), padding=((padding, padding),) * 2)


def test_bfloat16_is_kept_and_summed_in_float32():
    images, kernel = (jnp.asarray(x, jnp.bfloat16) for x in arrays(4, (6, 6), 3, 4, 3))
    found = with_gradients(convolve, images, kernel, (1, 1), ((1, 1), (1, 1)), 1)
    exact = with_gradients(convolve, *(x.astype(jnp.float32) for x in (images, kernel)), (1, 1), ((1, 1), (1, 1)), 1)
    for ours, wide in zip(found, exact, strict=True):
        assert ours.dtype == jnp.bfloat16
        # Output gradients are rounded too, each by 2^-9 at most; so is the result.
        assert np.abs(np.asarray(ours, np.float32) - wide).max() < 2**-7 * np.abs(wide).max()


def loss(images, kernel):
    out = convolve(images, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=DIMENSIONS)
    return jnp.sum(jnp.sin(out))


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max(), rtol=0)


def test_transformations_compose():
    images, kernel = (jnp.asarray(x) for x in arrays(6, (5, 5), 3, 4, 3))
    gradient = jax.grad(loss, argnums=1)
    expected = gradient(images, kernel)
    assert_close(jax.jit(gradient)(images, kernel), expected)
    assert_close(jax.grad(jax.checkpoint(loss), argnums=1)(images, kernel), expected)
    stacked = jnp.stack([kernel, 2 * kernel])
    mapped = jax.jit(jax.vmap(gradient, in_axes=(None, 0)))(images, stacked)
    assert_close(mapped[0], expected)
    assert_close(mapped[1], gradient(images, 2 * kernel))
    _, scanned = jax.lax.scan(lambda carry, kernel: (carry, gradient(images, kernel)), 0, stacked)
    assert_close(scanned, mapped)


def test_layers_use_it_on_the_cpu_and_xlas_own_elsewhere(monkeypatch):
    layer, images = conv(3, 4, 3, padding=1, rngs=nnx.Rngs(0)), jnp.ones((2, 8, 8, 3))

    def program():
        # A new function every time: JAX remembers the programs of those it knows.
        return str(jax.make_jaxpr(lambda x: layer(x))(images))

    assert "custom_vjp" in program()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "custom_vjp" not in program()


def test_the_weight_gradient_by_hand():
    """One image of two pixels, a 1x2 window, no padding: the outer product of the window and the gradient."""
    images, gradient = jnp.asarray([[[[2.0], [3.0]]]]), jnp.asarray([[[[5.0, 7.0]]]])
    found = weight_gradient(images, gradient, (1, 2), (1, 1), ((0, 0), (0, 0)))
    np.testing.assert_array_equal(found, [[[[10.0, 14.0]], [[15.0, 21.0]]]])
