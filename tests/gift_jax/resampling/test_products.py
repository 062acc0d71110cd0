"""Both forms of moving pixels give the same images, and the products hold to PyTorch's golden values."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form

from gift_jax import augment, crops
from gift_jax.resampling import gathers, products
from gift_jax.runtime.compiling import traced_for

MOST = math.radians(15)


@pytest.fixture
def images(key):
    return jax.random.normal(key, (5, 9, 12, 3))


def test_pixels_are_taken_alike_and_are_zero_outside(images):
    draw = np.random.default_rng(0)
    rows, columns = (jnp.asarray(draw.integers(-3, size + 3, (5, 7)), jnp.int32) for size in images.shape[1:3])
    taken = products.take_pixels(images, rows, columns)
    np.testing.assert_array_equal(taken, gathers.take_pixels(images, rows, columns))
    b, i, j = 3, 2, 5
    inside = 0 <= rows[b, i] < 9 and 0 <= columns[b, j] < 12
    np.testing.assert_array_equal(taken[b, i, j], images[b, rows[b, i], columns[b, j]] if inside else np.zeros(3))
    assert not np.asarray(taken)[np.asarray((rows < 0) | (rows > 8))].any()


def test_images_are_taken_alike(images):
    order = jnp.asarray([3, 0, 4, 4, 1], jnp.int32)
    np.testing.assert_array_equal(products.take_images(images, order), gathers.take_images(images, order))


@pytest.mark.parametrize("size", short_form((2, 3, 8, 28, 33, 64, 224), kept=(28,)))
def test_a_rotation_is_the_same_to_the_ends_of_its_range(key, size):
    """Coordinates are rounded to float32, of which a pixel's value changes by its slope: 3 a pixel, of noise."""
    images = jax.random.normal(key, (9, size, size, 2))
    angle = jnp.concatenate(
        [jnp.asarray([-MOST, 0, MOST, 1e-6]), jax.random.uniform(key, (5,), minval=-MOST, maxval=MOST)]
    )
    expected = jax.jit(gathers.rotate, static_argnums=2)(images, angle, MOST)
    tolerance = 3 * 16 * size * np.finfo(np.float32).eps
    out = jax.jit(products.rotate, static_argnums=2)(images, angle, MOST)
    np.testing.assert_allclose(out, expected, rtol=0, atol=max(tolerance, 1e-6))


def test_a_rectangle_is_rotated_as_by_gathers(images):
    angle = jnp.linspace(-MOST, MOST, 5)
    forms = (jax.jit(form.rotate, static_argnums=2) for form in (products, gathers))
    np.testing.assert_array_equal(*(form(images, angle, MOST) for form in forms))


@pytest.mark.parametrize("operation", ["crop", "rotate"])
def test_products_equal_pytorch(golden, operation):
    file = np.load(golden / "augment.npz")
    function = jax.jit(lambda images, draws: getattr(augment, operation)(images, **draws))
    for case in range(3):
        prefix = f"case{case}/{operation}/"
        values = {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
        expected = values.pop("out_nchw")
        draws = {name: jnp.asarray(v, jnp.float32 if v.dtype.kind == "f" else jnp.int32) for name, v in values.items()}
        images = jnp.asarray(file[f"case{case}/images_nchw"].transpose(0, 2, 3, 1))
        with traced_for("tpu"):
            out = function(images, draws)
        np.testing.assert_allclose(out.transpose(0, 3, 1, 2), expected, atol=5e-5, rtol=0)


def test_no_pixel_is_gathered_for_a_tpu(key):
    """By the traced program: of the augmentation, mixing and crops, nothing looks pixels up."""

    def moved(key, images):
        with traced_for("tpu"):
            images = augment.make_strategy()(key, crops.make_crop(factor=1, shuffle=2, smallest_crop=0.5)(key, images))
            return augment.random_cutmix(key, augment.random_mixup(key, images)[0])[0]

    def gathered(form):
        program = str(jax.make_jaxpr(form)(key, jnp.zeros((4, 16, 16, 3))))
        return [line for line in program.splitlines() if " gather[" in line and "f32[4,16" in line]

    assert not gathered(moved)
    assert gathered(lambda key, images: augment.random_crop(key, images))
