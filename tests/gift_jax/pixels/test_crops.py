"""Random boxes and shuffled cells against their definitions. (The resizing itself: test_crops_resized.py.)"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gift_jax.pixels import crops
from gift_jax.pixels.crops import random_boxes, random_resized_box


def test_boxes_have_the_areas_ratios_and_places_of_torchvisions(key):
    side = 64
    top, left, height, width = (np.asarray(draw) for draw in random_boxes(key, 4000, side, 0.08))
    assert min(top.min(), left.min()) == 0
    assert (top + height).max() == (left + width).max() == side
    area, ratio = height * width / side**2, width / height
    assert 0.07 < area.min() < 0.1
    assert ratio.max() < 1.5
    # Areas are uniform in [0.08, 1] but for the few large ones that do not fit with their ratio.
    assert abs(np.median(area) - 0.5) < 0.05
    assert abs(np.median(np.log(ratio))) < 0.02


def test_whole_images_are_their_own_crop(key):
    """At ratio 1 alone does a box of the whole area fit, so that the whole image is what is left."""
    images = jax.random.normal(key, (5, 12, 12, 3))
    np.testing.assert_allclose(random_resized_box(key, images, 1.0), images, atol=1e-5)


def test_shuffled_cells_are_where_the_orders_say():
    images = jnp.arange(2 * 5 * 5.0).reshape(2, 5, 5, 1)
    rows, columns = jnp.array([[1, 0], [0, 1]]), jnp.array([[0, 1], [1, 0]])
    out = np.asarray(crops.shuffle_patches(images, rows, columns))[..., 0]
    grid = np.asarray(images)[..., 0]
    np.testing.assert_array_equal(out[0], grid[0][[2, 3, 0, 1, 4]])
    np.testing.assert_array_equal(out[1], grid[1][:, [2, 3, 0, 1, 4]])


def test_random_shuffles_reach_every_order_of_rows_and_columns(key):
    images = jnp.broadcast_to(jnp.arange(4.0).reshape(1, 2, 2, 1), (200, 2, 2, 1))
    out = np.asarray(crops.random_shuffle_patches(key, images, 2)).reshape(200, 4)
    orders, counts = np.unique(out, axis=0, return_counts=True)
    assert len(orders) == 4
    assert counts.min() > 25


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"factor": 1, "shuffle": 1, "smallest_crop": None}, True),
        ({"factor": 1, "shuffle": 2, "smallest_crop": None}, False),
        ({"factor": 1, "shuffle": 1, "smallest_crop": 0.2}, False),
        ({"factor": 2, "shuffle": 1, "smallest_crop": None}, False),
    ],
)
def test_only_what_is_asked_for_is_done(options, same, key):
    images = jax.random.normal(key, (4, 8, 8, 1))
    out = crops.make_box_strategy(**options)(key, images)
    assert out.shape == images.shape
    assert bool((out == images).all()) == same
