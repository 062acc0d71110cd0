"""RDED's synthesis: crops against PyTorch, selection and stitching by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import INFO, random_digits, random_teacher

from gift_jax.errors import GiftError
from gift_jax.rded import RDED, _framed, best_crops, random_crops, stitch, synthesize


def test_random_crops_stay_within_the_image(key):
    images = jnp.broadcast_to(jnp.linspace(0.2, 0.8, 20)[None, :, None, None], (40, 20, 16, 1))
    crops = np.asarray(random_crops(key, images, RDED(num_crops=4), 8))
    assert crops.shape == (4, 40, 8, 8, 1)
    assert crops.min() >= 0.2 - 1e-6
    assert crops.max() <= 0.8 + 1e-6
    assert len({float(crop.mean()) for crop in crops.reshape(-1, 64)}) > 20


def test_best_crop_is_the_one_of_least_cross_entropy(key):
    teacher, (images, labels) = random_teacher(), random_digits(6)
    settings = RDED(num_crops=3)
    norm = INFO.normalisation
    crops, scores = best_crops(teacher.model, norm, settings, teacher.params, images, labels, key)
    every = random_crops(key, jnp.asarray(images, jnp.float32) / 255, settings, 8)
    entropies = []
    for patches in every:
        logits = teacher.logits((patches - norm.mean[0]) / norm.std[0])
        entropies.append(-np.asarray(jax.nn.log_softmax(logits))[np.arange(6), labels])
    best = np.argmin(entropies, axis=0)
    np.testing.assert_allclose(scores, np.min(entropies, axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(crops, np.asarray(every)[best, np.arange(6)], atol=1e-6)


def test_small_crops_are_scored_in_a_frame_of_zeros():
    framed = np.asarray(_framed(jnp.ones((1, 3, 3, 1)), 8))[0, :, :, 0]
    assert framed.sum() == 9
    assert framed[2:5, 2:5].all()


def test_stitching_fills_cells_in_order():
    patches = np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1) * np.ones((1, 2, 2, 1), np.float32)
    mosaics = stitch(patches, 2, 2, 4)[..., 0]
    np.testing.assert_array_equal(mosaics[0], np.kron([[0, 2], [4, 6]], np.ones((2, 2))))
    np.testing.assert_array_equal(mosaics[1], np.kron([[1, 3], [5, 7]], np.ones((2, 2))))


def test_stitching_an_odd_size_enlarges_the_first_cells():
    mosaic = stitch(np.arange(4.0).reshape(4, 1, 1, 1) * np.ones((1, 2, 2, 1)), 1, 2, 5)[0, :, :, 0]
    np.testing.assert_array_equal(mosaic[0], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(mosaic[:, 0], [0, 0, 0, 2, 2])


@pytest.mark.parametrize("factor", [1, 2])
def test_a_set_has_ipc_images_a_class_and_repeats(factor):
    images, labels = random_digits(120)
    sets = [synthesize(images, labels, random_teacher(), ipc=2, settings=RDED(factor), seed=3) for _ in range(2)]
    np.testing.assert_array_equal(sets[0].images, sets[1].images)
    np.testing.assert_array_equal(sets[0].labels, np.arange(20) // 2)
    assert (sets[0].method, sets[0].ipc, sets[0].images.dtype) == ("rded", 2, np.uint8)
    other = synthesize(images, labels, random_teacher(), ipc=2, settings=RDED(factor), seed=4)
    assert not np.array_equal(other.images, sets[0].images)


@pytest.mark.parametrize("settings", [{"factor": 0}, {"num_crops": 0}, {"smallest_area": 0.0}, {"smallest_area": 2.0}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(GiftError, match="must be"):
        RDED(**settings)


def test_too_few_images_are_named():
    images, labels = random_digits(30)
    with pytest.raises(GiftError, match="class 0 has 3 usable images, but ipc 1 with factor 2 needs 4"):
        synthesize(images, labels, random_teacher(), ipc=1, settings=RDED(2))
