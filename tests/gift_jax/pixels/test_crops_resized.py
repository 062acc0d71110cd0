"""Resized crops against torchvision's, of tensors and of 8-bit Pillow images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image

from convert.vision import load_torchvision_models
from gift_jax.pixels.crops import resized_box, resized_box_bytes

load_torchvision_models()
from torchvision.transforms import functional  # noqa: E402 (only now does it import)

SIDE = 24
# top, left, height, width; output sides below shrink and enlarge them.
BOXES = [(0, 0, 24, 24), (2, 3, 20, 15), (5, 1, 7, 9), (10, 20, 14, 4), (23, 0, 1, 24), (6, 6, 12, 12)]


def pixels():
    return np.random.default_rng(0).integers(0, 256, (len(BOXES), SIDE, SIDE, 3), np.uint8)


def ours(function, images, size):
    boxes = [jnp.asarray(draw, jnp.int32) for draw in zip(*BOXES, strict=True)]
    return np.asarray(jax.jit(function, static_argnums=5)(images, *boxes, size))


@pytest.mark.parametrize("size", [5, 12, 24, 31])
def test_float_crops_equal_torchvisions(size):
    images = pixels().astype(np.float32) / 255
    out = ours(resized_box, jnp.asarray(images), size)
    for image, box, found in zip(images, BOXES, out, strict=True):
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
        expected = functional.resized_crop(tensor, *box, [size, size], antialias=True)
        np.testing.assert_allclose(found.transpose(2, 0, 1), expected, atol=1e-5)


@pytest.mark.parametrize("size", [24, 31])
def test_crops_of_bytes_are_pillows_pixels(size):
    images = pixels()
    out = ours(resized_box_bytes, jnp.asarray(images), size)
    for image, box, found in zip(images, BOXES, out, strict=True):
        np.testing.assert_array_equal(found, functional.resized_crop(Image.fromarray(image), *box, [size, size]))
