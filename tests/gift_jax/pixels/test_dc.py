"""DC's augmentation against PyTorch's and SciPy's operations, an image at a time, as its code applies them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import torch

from gift_jax.errors import GiftError
from gift_jax.pixels import dc
from gift_jax.pixels.dsa import make_strategy

SIDES = (28, 32)


def pictures(size, count=6):
    return np.random.default_rng(size).normal(size=(count, size, size, 2)).astype("f")


@pytest.mark.parametrize("size", SIDES)
def test_crop_pads_with_the_mean_colour(size):
    images, top, left = pictures(size), np.array([0, 7, 4, 3, 1, 6]), np.array([7, 0, 4, 5, 2, 1])
    found = dc.padded_crop(jnp.asarray(images), jnp.asarray(top), jnp.asarray(left))
    for image, row, column, one in zip(images, top, left, found, strict=True):
        channels = [np.pad(image[..., channel], 4, constant_values=images[..., channel].mean()) for channel in range(2)]
        expected = np.stack(channels, -1)[row : row + size, column : column + size]
        np.testing.assert_allclose(one, expected, atol=1e-5)


@pytest.mark.parametrize("size", SIDES)
def test_scale_takes_the_nearest_pixels_as_pytorch_does(size):
    images = pictures(size)
    heights = np.array([int(0.8 * size), size, int(1.19 * size), size + 1, size - 1, size + 3])
    widths = heights[[2, 1, 2, 0, 5, 4]]
    found = dc.scale(jnp.asarray(images), jnp.asarray(heights), jnp.asarray(widths))
    for image, height, width, one in zip(images, heights, widths, found, strict=True):
        planes = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
        resized = torch.nn.functional.interpolate(planes, [int(height), int(width)])[0].numpy()
        side = max(height, width, size)
        canvas = np.zeros((2, side, side), "f")
        row, column, middle = (side - height) // 2, (side - width) // 2, (side - size) // 2
        canvas[:, row : row + height, column : column + width] = resized
        expected = canvas[:, middle : middle + size, middle : middle + size].transpose(1, 2, 0)
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("size", SIDES)
def test_rotate_equals_scipys(size):
    degrees = np.arange(-45, 45)
    images = pictures(size, len(degrees))
    found = jax.jit(dc.rotate)(jnp.asarray(images), jnp.asarray(degrees))
    for image, angle, one in zip(images, degrees, found, strict=True):
        whole = scipy.ndimage.rotate(image, int(angle), axes=(0, 1), cval=images.mean())
        start = (whole.shape[0] - size) // 2
        expected = whole[start : start + size, start : start + size]
        np.testing.assert_allclose(one, expected, atol=2e-4, err_msg=f"{angle} degrees")


def test_each_image_has_an_operation_of_its_own(key):
    images = jnp.asarray(pictures(28, 64))
    out = jax.jit(make_strategy("dc:crop_noise"))(key, images)
    noisy = np.abs(out - images).max(axis=(1, 2, 3)) < 0.01
    assert 0 < noisy.sum() < 64
    assert np.std((out - images)[noisy]) == pytest.approx(dc.NOISE, rel=0.05)


def test_an_unknown_operation_is_named():
    with pytest.raises(GiftError, match="'flip' is unknown; join some of crop, scale, rotate, noise by '_'"):
        make_strategy("dc:crop_flip")
