"""Products give what gathers do (PyTorch's golden values: test_dsa.py); for TPUs nothing is looked up."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gift_jax.pixels import crops, dsa, mixing, rand_augment
from gift_jax.pixels.resampling import gathers, products
from gift_jax.runtime.compiling import tracing_for_platform


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


def test_levels_are_counted_and_replaced_alike():
    """Of three images, one of which has two levels alone."""
    draw = np.random.default_rng(1)
    levels = draw.integers(0, 256, (3, 9, 12, 2))
    levels[1] = 255 * (levels[1] > 127)
    images = jnp.asarray(levels, jnp.uint8)
    counts = products.count_levels(images)
    np.testing.assert_array_equal(counts, gathers.count_levels(images))
    assert counts.shape == (3, 256, 2)
    assert (counts[1, 0] + counts[1, 255] == 9 * 12).all()
    table = jnp.asarray(draw.integers(0, 256, counts.shape), jnp.uint8)
    replaced = products.replace_levels(images, table)
    assert replaced.dtype == jnp.uint8
    np.testing.assert_array_equal(replaced, gathers.replace_levels(images, table))
    assert replaced[2, 5, 7, 1] == table[2, images[2, 5, 7, 1], 1]


def test_nothing_is_looked_up_for_a_tpu(key):
    """By the traced program: of the augmentations, mixing and crops, nothing looks pixels up, or their levels."""

    def moved(key, images):
        images = dsa.make_strategy()(key, crops.make_box_strategy(factor=1, shuffle=2, smallest_crop=0.5)(key, images))
        return mixing.random_cutmix(key, mixing.random_mixup(key, images)[0])[0]

    def looked_up(form, platform):
        """Gathers and scatters of arrays that have a side of the images, or all pixels, or levels, in one axis."""
        with tracing_for_platform(platform):
            program = str(jax.make_jaxpr(lambda key, images: form(key, images))(key, jnp.zeros((4, 20, 20, 3))))
        lines = (line for line in program.splitlines() if re.search(r" (gather|scatter\S*)\[", line))
        return [line for line in lines if re.search(r"\[4,(20|400|256),", line)]

    def changed(text):
        return lambda key, images: rand_augment.make_rand_augment(text)(key, images.astype(jnp.uint8))

    for form in (moved, changed("rand-m6-n2-mstd1.0"), changed("torchvision-rand-m9-n1")):
        assert not looked_up(form, "tpu")
        assert looked_up(form, "cpu")
