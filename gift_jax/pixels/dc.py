"""DC's own augmentation: one operation for each image, with the parameters of its `get_daparam`.

Operations take NHWC float batches and explicit draws, one an image, as those of `dsa.py` do. What enters from
outside has the mean value of the batch, and zero where an image is scaled.
Reference: `augment` of `utils.py`, VICO-UoE/DatasetCondensation.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.pixels import Augmentation
from gift_jax.pixels.resampling import take_pixels

PADDING = 4  # pixels that an image is padded with
SCALE = 0.2
ROTATE = 45  # degrees
NOISE = 0.001


def padded_crop(images: jax.Array, top: jax.Array, left: jax.Array) -> jax.Array:
    """Cut out of the image, padded by 4 pixels of the batch's mean colour. Args: top, left, int [B] in [0, 8)."""
    colour = jnp.mean(images, axis=(0, 1, 2), keepdims=True)
    padded = jnp.pad(images - colour, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0))) + colour

    def cut(image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (row, column, 0), images.shape[1:])

    return jax.vmap(cut)(padded, top, left)


def scale(images: jax.Array, height: jax.Array, width: jax.Array) -> jax.Array:
    """Resize to the nearest pixel and put into the middle, zero outside. Args: height, width, int [B], in pixels."""
    rows, columns = _scaled(images.shape[1], height, width), _scaled(images.shape[2], width, height)
    return take_pixels(images, rows, columns)


def _scaled(size: int, side: jax.Array, other: jax.Array) -> jax.Array:
    """Pixels that a row of the result is taken from, int [B, size]; -1 where there is none."""
    canvas = jnp.maximum(jnp.maximum(side, other), size)
    place = jnp.arange(size)[None, :] + ((canvas - size) // 2 - (canvas - side) // 2)[:, None]
    return jnp.where((place >= 0) & (place < side[:, None]), place * size // side[:, None], -1)


def rotate(images: jax.Array, degrees: jax.Array) -> jax.Array:
    """Rotate about the centre, by cubic splines, the batch's mean outside. Args: images, square; degrees, int [B].

    Reference: `scipy.ndimage.rotate`, whose larger result is cut to the middle.
    """
    size = images.shape[1]
    angle = jnp.deg2rad(degrees.astype(images.dtype))
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    # The larger image has a whole number of pixels; its middle may be half a pixel off.
    larger = jnp.floor(size * (jnp.abs(cos) + jnp.abs(sin)) + 0.5 + 1e-4)
    place = jnp.arange(size, dtype=images.dtype)[None, None] + jnp.floor((larger - size) / 2) - (larger - 1) / 2
    y, x = place.transpose(0, 2, 1), place
    middle = (size - 1) / 2
    fill = jnp.mean(images)
    return _spline(images, cos * y + sin * x + middle, -sin * y + cos * x + middle, fill)


@functools.cache
def _prefilter(size: int) -> np.ndarray:
    """Spline coefficients of a row of pixels, as a matrix; a row is mirrored at its ends."""
    values = np.diag(np.full(size, 4.0)) + np.diag(np.ones(size - 1), 1) + np.diag(np.ones(size - 1), -1)
    values[0, 1] += 1
    values[-1, -2] += 1
    return np.linalg.inv(values / 6)


def _spline(images: jax.Array, rows: jax.Array, columns: jax.Array, fill: jax.Array) -> jax.Array:
    """Sample images [B, H, H, C] at rows, columns [B, H, H] in pixels."""
    batch, size, _, channels = images.shape
    coefficients = jnp.asarray(_prefilter(size), images.dtype)
    spline = jnp.einsum("ih,jw,bhwc->bijc", coefficients, coefficients, images, precision="highest")
    flat = spline.reshape(batch, size * size, channels)
    result = jnp.zeros_like(images)
    top, left = jnp.floor(rows), jnp.floor(columns)
    for down in range(-1, 3):
        for right in range(-1, 3):
            index = _mirrored(top + down, size) * size + _mirrored(left + right, size)
            values = jnp.take_along_axis(flat, index.reshape(batch, size * size, 1), axis=1).reshape(images.shape)
            result += values * (_weight(rows - top - down) * _weight(columns - left - right))[..., None]
    # A pixel at the very edge is inside, whatever its place is rounded to.
    inside = (jnp.minimum(rows, columns) > -1e-4) & (jnp.maximum(rows, columns) < size - 1 + 1e-4)
    return jnp.where(inside[..., None], result, fill)


def _weight(distance: jax.Array) -> jax.Array:
    """The cubic B-spline."""
    near = jnp.abs(distance)
    return jnp.where(near < 1, 2 / 3 - near**2 + near**3 / 2, jnp.maximum(2 - near, 0) ** 3 / 6)


def _mirrored(place: jax.Array, size: int) -> jax.Array:
    place = jnp.abs(place.astype(jnp.int32))
    return jnp.clip(jnp.where(place >= size, 2 * (size - 1) - place, place), 0, size - 1)


def _random_scale(key: jax.Array, images: jax.Array) -> jax.Array:
    drawn = jax.random.uniform(key, (2, len(images)), images.dtype, 1 - SCALE, 1 + SCALE)
    height, width = (drawn * images.shape[1]).astype(jnp.int32)
    return scale(images, height, width)


OPERATIONS: Mapping[str, Augmentation] = {
    "crop": lambda key, images: padded_crop(images, *jax.random.randint(key, (2, len(images)), 0, 2 * PADDING)),
    "scale": _random_scale,
    "rotate": lambda key, images: rotate(images, jax.random.randint(key, (len(images),), -ROTATE, ROTATE)),
    "noise": lambda key, images: images + NOISE * jax.random.normal(key, images.shape, images.dtype),
}
