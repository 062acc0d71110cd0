"""Affine maps by shears of whole pixels give the images that gathers do. (PyTorch's golden values: test_dsa.py.)"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form

from gift_jax.pixels import rand_augment, resampling
from gift_jax.pixels.resampling import gathers, shears
from gift_jax.runtime.compiling import tracing_for_platform

MOST = math.radians(15)
SIZES = (2, 3, 8, 28, 33, 64, 224)


@pytest.mark.parametrize("size", short_form(SIZES, kept=(28,)))
def test_a_rotation_is_the_same_to_the_ends_of_its_range(key, size):
    """Coordinates are rounded to float32, of which a pixel's value changes by its slope: 3 a pixel, of noise."""
    images = jax.random.normal(key, (9, size, size, 2))
    drawn = jax.random.uniform(key, (5,), minval=-MOST, maxval=MOST)
    angle = jnp.concatenate([jnp.asarray([-MOST, 0, MOST, 1e-6]), drawn])
    expected = jax.jit(gathers.rotate, static_argnums=2)(images, angle, MOST)
    tolerance = 3 * 16 * size * np.finfo(np.float32).eps
    out = jax.jit(shears.rotate, static_argnums=2)(images, angle, MOST)
    np.testing.assert_allclose(out, expected, rtol=0, atol=max(tolerance, 1e-6))


def maps(size):
    """Kinds and amounts of all maps of RandAugment, at both ends of their ranges and between them."""
    most = {
        **dict.fromkeys((rand_augment.SHEAR_X, rand_augment.SHEAR_Y), 0.3),
        **dict.fromkeys((rand_augment.TRANSLATE_X, rand_augment.TRANSLATE_Y), 150 / 331 * size),
        **{rand_augment.ROTATE: 30.0, rand_augment.IDENTITY: 0.0},
    }
    shares = (-1, -0.77, -0.01, 1e-6, 0.5, 1)
    pairs = [(kind, share * amount) for kind, amount in most.items() for share in shares]
    return np.array([kind for kind, _ in pairs]), np.array([amount for _, amount in pairs])


def both_forms(function, *arguments):
    """What it makes on a TPU, and elsewhere."""
    for platform in ("tpu", "cpu"):
        with tracing_for_platform(platform):
            yield np.asarray(jax.jit(lambda *given: function(*given))(*arguments))


@pytest.mark.parametrize("size", short_form(SIZES, kept=(33,)))
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_moved_to_the_pixel(size, channels):
    kind, amount = maps(size)
    images = jnp.asarray(np.random.default_rng(size).integers(0, 256, (len(kind), size, size, channels)), jnp.uint8)
    matrices = jnp.asarray(rand_augment.fixed(rand_augment.matrices_of(kind, amount, size, np)))
    np.testing.assert_array_equal(*both_forms(rand_augment.move, images, matrices))


@pytest.mark.parametrize("size", short_form(SIZES, kept=(33,)))
@pytest.mark.parametrize("cubic", [False, True])
def test_bytes_are_interpolated_within_the_rounding_of_places(size, cubic):
    """Of a place, float32 leaves the 2^-24th of a side; pixels of noise change by 255 a pixel, edges by as much."""
    kind, amount = maps(size)
    images = jnp.asarray(np.random.default_rng(size).integers(0, 256, (len(kind), size, size, 3)), jnp.uint8)
    matrices = rand_augment.matrices_of(jnp.asarray(kind), jnp.asarray(amount, jnp.float32), size, jnp)
    arguments = (images, matrices, jnp.full(len(kind), cubic), jnp.asarray([1, 2, 3], jnp.uint8))
    difference = np.abs(np.subtract(*both_forms(rand_augment.move_smoothly, *arguments), dtype=int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


def test_rectangles_are_looked_up():
    """Of which a shear's ranges would be others."""
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3)), jnp.uint8)
    angle = jnp.linspace(-MOST, MOST, 5)
    given = (images.astype(jnp.float32), angle)
    np.testing.assert_array_equal(*both_forms(lambda *given: resampling.rotate(*given, MOST), *given))
    kind, amount = (values[::7][:5] for values in maps(9))
    matrices = rand_augment.matrices_of(jnp.asarray(kind), jnp.asarray(amount, jnp.float32), 9, jnp)
    given = (images, (matrices * 2**16).astype(jnp.int32))
    np.testing.assert_array_equal(*both_forms(lambda *given: resampling.map_nearest(*given, MOST, 0.5), *given))
    given = (images, matrices, jnp.ones(5, bool))
    np.testing.assert_array_equal(*both_forms(lambda *given: resampling.map_smoothly(*given, MOST, 0.5), *given))
