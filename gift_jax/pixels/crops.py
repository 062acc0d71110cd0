"""Boxes cut out and resized: a box of each image resized to the full side, and mosaics taken apart.

Operations take NHWC float batches and one draw an image; `random_` forms draw from a key. The resizing is bilinear
with anti-aliasing, as torchvision's and Pillow's.
"""

import math

import jax
import jax.numpy as jnp

from gift_jax.pixels import Augmentation
from gift_jax.pixels.resampling import take_pixels
from gift_jax.pixels.resampling.products import weigh

LARGEST_RATIO = 4 / 3  # of a box's sides
_TRIES = 10


def resized_box(
    images: jax.Array, top: jax.Array, left: jax.Array, height: jax.Array, width: jax.Array, size: int
) -> jax.Array:
    """Cut a box out of each image and resize it to size x size, bilinear with anti-aliasing.

    Args: images, float [B, H, W, C]; top, left, height, width, int [B], inside. Returns: float [B, size, size, C].
    Reference: crop, then `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`.
    """
    weights = (_weights(images.shape[1], top, height, size), _weights(images.shape[2], left, width, size))
    rows, columns = (w.astype(images.dtype) / jnp.sum(w, axis=2, keepdims=True).astype(images.dtype) for w in weights)
    return weigh(images, rows, columns)


def resized_box_bytes(
    images: jax.Array, top: jax.Array, left: jax.Array, height: jax.Array, width: jax.Array, size: int
) -> jax.Array:
    """`resized_box` of 8-bit pixels as Pillow computes it: in whole numbers, along the rows first.

    Enlarged boxes are equal pixel for pixel. (Where a tall box is shrunk, Pillow 13 goes along the columns first,
    so that pixels may differ by one; random resized crops to the image's own side never are.)

    Args: images, uint8 [B, H, W, C]; the others as in `resized_box`. Returns: uint8 [B, size, size, C].
    Reference: `PIL.Image.Image.resize` with BILINEAR, which torchvision's transforms of Pillow images call.
    """
    narrow = _mean_bytes("bjw,bhwc->bhjc", _weights(images.shape[2], left, width, size), images)
    return _mean_bytes("bih,bhjc->bijc", _weights(images.shape[1], top, height, size), narrow)


def _weights(length: int, start: jax.Array, side: jax.Array, size: int) -> jax.Array:
    """Weights [B, size, length] of a triangle kernel that is as wide as an output pixel, one input pixel at least.

    They are whole, and to be divided by their sums over the last axis: distances are counted in halves of a size-th
    of a pixel, for places in float32 would cost four digits.
    """
    pixels = jnp.arange(length)[None, None, :] - start[:, None, None]
    sides = side[:, None, None]
    distance = jnp.abs(size * (2 * pixels + 1) - sides * (2 * jnp.arange(size)[None, :, None] + 1))
    inside = (pixels >= 0) & (pixels < sides)
    return jnp.where(inside, jnp.maximum(2 * jnp.maximum(sides, size) - distance, 0), 0)


def _mean_bytes(axes: str, weights: jax.Array, images: jax.Array) -> jax.Array:
    """Weighted means of 8-bit pixels under weights that are rounded to 2^-22ths, rounded to whole pixels."""
    total = jnp.sum(weights, axis=2, keepdims=True)
    # Two digits of 11 bits each, because products with a pixel must be exact in float32.
    high, rest = jnp.divmod(weights << 11, total)
    digits = (high, (rest * 2**12 + total) // (2 * total))
    pixels = images.astype(jnp.float32)
    sums = [jnp.einsum(axes, digit.astype(jnp.float32), pixels, precision="highest") for digit in digits]
    whole = (sums[0].astype(jnp.int32) << 11) + sums[1].astype(jnp.int32)
    return ((whole + 2**21) >> 22).astype(jnp.uint8)


def mosaic_crop(images: jax.Array, factor: int, row: jax.Array, col: jax.Array) -> jax.Array:
    """Cut one cell of a factor x factor grid out of each image and resize it (bilinear) to the full side.

    Args: images [B, H, W, C]; row, col, int [B] in [0, factor).
    Reference: `RandomFactorResizedCrop` of the official code, the inverse of RDED's stitching.
    """
    height, width, channels = images.shape[1:]
    cell_h, cell_w = height // factor, width // factor

    def cut(image: jax.Array, i: jax.Array, j: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (i * cell_h, j * cell_w, 0), (cell_h, cell_w, channels))

    cells = jax.vmap(cut)(images, row.astype(jnp.int32), col.astype(jnp.int32))
    return jax.image.resize(cells, images.shape, "linear", precision=jax.lax.Precision.HIGHEST)


def random_boxes(
    key: jax.Array, count: int, side: int, smallest_area: float
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Boxes in square images: areas uniform in [smallest_area, 1], ratios log-uniform in [3/4, 4/3], places uniform.

    Returns: top, left, height, width, int [count], in pixels. The first of ten draws that fits is taken; if none
    does, the whole image. Reference: torchvision's `RandomResizedCrop.get_params`.
    """
    keys = jax.random.split(key, 4)
    area = jax.random.uniform(keys[0], (count, _TRIES), minval=smallest_area, maxval=1.0) * side**2
    limit = math.log(LARGEST_RATIO)
    ratio = jnp.exp(jax.random.uniform(keys[1], (count, _TRIES), minval=-limit, maxval=limit))
    heights = jnp.round(jnp.sqrt(area / ratio)).astype(jnp.int32)
    widths = jnp.round(jnp.sqrt(area * ratio)).astype(jnp.int32)
    fits = (heights > 0) & (heights <= side) & (widths > 0) & (widths <= side)
    first = jnp.argmax(fits, axis=1)[:, None]
    height, width = (
        jnp.where(fits.any(axis=1), jnp.take_along_axis(sides, first, axis=1)[:, 0], side)
        for sides in (heights, widths)
    )
    top = jax.random.randint(keys[2], (count,), 0, side - height + 1)
    return top, jax.random.randint(keys[3], (count,), 0, side - width + 1), height, width


def random_resized_box(key: jax.Array, images: jax.Array, smallest_area: float) -> jax.Array:
    """`resized_box` of `random_boxes`, to the images' own side. Args: images, float [B, S, S, C]."""
    count, side = images.shape[:2]
    top, left, height, width = random_boxes(key, count, side, smallest_area)
    return resized_box(images, top, left, height, width, side)


def shuffle_patches(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Reorder the rows and the columns of each image's cells: cell (i, j) becomes cell (rows[i], columns[j]).

    Args: images [B, H, W, C]; rows, columns, int [B, f], permutations of range(f). Pixels that f cells leave over
    stay at the far edges. Reference: RDED's `ShufflePatches`.
    """
    return take_pixels(images, _shuffled(images.shape[1], rows), _shuffled(images.shape[2], columns))


def _shuffled(length: int, order: jax.Array) -> jax.Array:
    """Where the pixels of a side come from, int [B, length]."""
    cells = order.shape[1]
    cell = length // cells
    source = (order[:, :, None] * cell + jnp.arange(cell)[None, None]).reshape(len(order), cells * cell)
    rest = jnp.broadcast_to(jnp.arange(cells * cell, length)[None], (len(order), length - cells * cell))
    return jnp.concatenate([source, rest], axis=1)


def random_shuffle_patches(key: jax.Array, images: jax.Array, cells: int) -> jax.Array:
    """`shuffle_patches` in a random order an image, of cells x cells."""
    orders = jnp.broadcast_to(jnp.arange(cells)[None], (images.shape[0], cells))
    rows, columns = (jax.random.permutation(one, orders, axis=1, independent=True) for one in jax.random.split(key))
    return shuffle_patches(images, rows, columns)


def random_mosaic_crop(key: jax.Array, images: jax.Array, factor: int) -> jax.Array:
    """With probability `1 - 1 / factor^2` a random cell of the mosaic, else the whole image, an image each."""
    if factor == 1:
        return images
    key_u, key_row, key_col = jax.random.split(key, 3)
    batch = images.shape[:1]
    row = jax.random.randint(key_row, batch, 0, factor)
    cells = mosaic_crop(images, factor, row, jax.random.randint(key_col, batch, 0, factor))
    whole = jax.random.uniform(key_u, batch) >= 1 - 1 / factor**2
    return jnp.where(whole[:, None, None, None], images, cells)


def make_box_strategy(*, factor: int, shuffle: int, smallest_crop: float | None) -> Augmentation:
    """Build `(key, images) -> images`: a mosaic's cell, shuffled cells, a random resized crop; each where asked for."""

    def cut(key: jax.Array, images: jax.Array) -> jax.Array:
        images = random_mosaic_crop(key, images, factor)
        if shuffle > 1:
            images = random_shuffle_patches(jax.random.fold_in(key, 1), images, shuffle)
        if smallest_crop is not None:
            images = random_resized_box(jax.random.fold_in(key, 2), images, smallest_crop)
        return images

    return cut
