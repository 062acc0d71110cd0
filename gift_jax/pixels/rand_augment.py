"""RandAugment of 8-bit pixels, torchvision's and timm's: random operations of Pillow, one after another.

Each image of a batch has an operation of its own. All are of three sorts, so that each sort is computed once for the
whole batch: pixels are moved by an affine map, blended with a degenerate image, or looked up in a table.
Reference: Cubuk et al. (2020); `torchvision.transforms.RandAugment` and `timm.data.auto_augment`.
"""

import functools
import math
import re
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.errors import GiftError
from gift_jax.pixels import Augmentation, resampling
from gift_jax.pixels.resampling.places import LEVELS, mapped

OPERATIONS = (
    IDENTITY, SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE,
    BRIGHTNESS, COLOR, CONTRAST, SHARPNESS,
    POSTERIZE, SOLARIZE, SOLARIZE_ADD, INVERT, AUTOCONTRAST, EQUALIZE,
) = range(16)  # fmt: skip

# Those that each library draws from; timm's default ones, without `inc`.
TORCHVISION = (
    IDENTITY, SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE, BRIGHTNESS, COLOR, CONTRAST, SHARPNESS, POSTERIZE,
    SOLARIZE, AUTOCONTRAST, EQUALIZE,
)  # fmt: skip
TIMM = (
    AUTOCONTRAST, EQUALIZE, INVERT, ROTATE, POSTERIZE, SOLARIZE, SOLARIZE_ADD, COLOR, CONTRAST, BRIGHTNESS, SHARPNESS,
    SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y,
)  # fmt: skip
BINS = 31  # magnitudes of torchvision, from 0 on
MOST = 10.0  # timm's largest magnitude
TIMM_SHARE = 0.5  # of its operations that are carried out
TIMM_FILL = (124, 116, 104)  # ImageNet's mean colour, which DELT and timm's own training pass
_FIXED = 2**16
_STEEPEST, _FURTHEST = math.radians(30), 150 / 331  # rotations of both, and the part of a side that pixels move
_SOLARIZED, _ADDED = 128, 110  # timm's: levels below the first are raised by up to the second
_GREY = (19595, 38470, 7471)  # red, green and blue in Pillow's grey, in 2^-16ths
_CENTRE, _SMOOTH = 5, 13  # the middle of Pillow's 3x3 smoothing kernel, whose other weights are 1, and its sum


def split_strategy(augment: str) -> tuple[str, str]:
    """Take a recipe's augmentation apart: `rand-m6-n2+flip` is RandAugment of raw pixels, then the strategy `flip`.

    Returns: RandAugment's text, "" if it has none, and the strategy.
    """
    first, plus, rest = augment.partition("+")
    if plus:
        return first, rest
    return (augment, "none") if "rand-" in augment else ("", augment)


def move(images: jax.Array, matrices: jax.Array) -> jax.Array:
    """Take each pixel from the nearest place, black outside, as Pillow does in whole numbers.

    Args: images, uint8 [B, S, S, C]; matrices, int [B, 6], of `fixed`.
    """
    return resampling.map_nearest(images, matrices, _STEEPEST, _FURTHEST)


def fixed(matrices: np.ndarray) -> np.ndarray:
    """Coefficients [N, 6] in 2^-16ths, int32, for the middles of pixels."""
    a, b, c, d, e, f = matrices.T
    centred = np.stack([a, b, c + a / 2 + b / 2, d, e, f + d / 2 + e / 2], axis=1)
    return np.floor(centred * _FIXED + 0.5).astype(np.int32)


def move_smoothly(images: jax.Array, matrices: jax.Array, cubic: jax.Array, fill: jax.Array) -> jax.Array:
    """Interpolate, bilinear or cubic, with a colour outside. Pixels may differ by a level from Pillow's.

    Args: images, uint8 [B, S, S, C]; matrices, float [B, 6]; cubic, bool [B]; fill, uint8 [C].
    """
    a, b, c, d, e, f = matrices.T
    numbered = jnp.stack([a, b, c + (a + b - 1) / 2, d, e, f + (d + e - 1) / 2], axis=1)
    total = resampling.map_smoothly(images, numbered, cubic, _STEEPEST, _FURTHEST)
    rows, columns = (places + 0.5 for places in mapped(images.shape, numbered))
    inside = (rows >= 0) & (rows < images.shape[1]) & (columns >= 0) & (columns < images.shape[2])
    # Pillow cuts fractions off; float32 may be just below a whole level.
    return jnp.where(inside[..., None], _level(total + 1e-3), fill[None, None, None])


def matrices_of(kind: Any, amount: Any, side: int, xp: ModuleType) -> Any:
    """Pillow's coefficients (a, b, c, d, e, f) [B, 6]: pixel (x, y) comes from (a x + b y + c, d x + e y + f).

    Args: kind, int [B], of OPERATIONS; amount, float [B]: slopes, pixels, or degrees; xp, numpy or jax.numpy.
    """
    zero, middle = xp.zeros_like(amount), side / 2
    angle = xp.where(kind == ROTATE, -xp.deg2rad(amount), zero)
    cos, sin = xp.cos(angle), xp.sin(angle)
    right = xp.where(kind == TRANSLATE_X, amount, middle - cos * middle - sin * middle)
    below = xp.where(kind == TRANSLATE_Y, amount, middle + sin * middle - cos * middle)
    across, down = xp.where(kind == SHEAR_X, amount, sin), xp.where(kind == SHEAR_Y, amount, -sin)
    return xp.stack([cos, across, right, down, cos, below], axis=1)


def blend(images: jax.Array, kind: jax.Array, factor: jax.Array) -> jax.Array:
    """Pillow's `ImageEnhance`: `d + factor (x - d)`, where d is black, grey, the mean grey or the smoothed image.

    Args: images, uint8 [B, H, W, C]; kind, int [B], of OPERATIONS; factor, float [B].
    """
    pixels, kind = images.astype(jnp.int32), kind[:, None, None, None]
    grey = _grey(pixels)
    count = images.shape[1] * images.shape[2]
    mean = (2 * jnp.sum(grey, axis=(1, 2), keepdims=True) + count) // (2 * count)
    degenerate = jnp.where(kind == COLOR, grey, jnp.where(kind == CONTRAST, mean, 0))
    degenerate = jnp.where(kind == SHARPNESS, _smooth(pixels), degenerate)
    share = factor.astype(jnp.float32)[:, None, None, None]
    return _level(degenerate.astype(jnp.float32) + share * (pixels - degenerate).astype(jnp.float32))


def _grey(pixels: jax.Array) -> jax.Array:
    if pixels.shape[3] == 1:
        return pixels
    weights = jnp.asarray(_GREY, jnp.int32)[None, None, None]
    return (jnp.sum(pixels * weights, axis=3, keepdims=True) + _FIXED // 2) >> 16


def _smooth(pixels: jax.Array) -> jax.Array:
    """Means of 3x3 pixels; the outermost ones stay as they are."""
    if min(pixels.shape[1:3]) < 3:
        return pixels
    height, width = (size - 2 for size in pixels.shape[1:3])
    parts = (pixels[:, i : i + height, j : j + width] for i in range(3) for j in range(3))
    total = sum(parts, (_CENTRE - 1) * pixels[:, 1:-1, 1:-1])
    return jax.lax.dynamic_update_slice(pixels, (2 * total + _SMOOTH) // (2 * _SMOOTH), (0, 1, 1, 0))


def look_up(images: jax.Array, kind: jax.Array, amount: jax.Array) -> jax.Array:
    """Give each level of each channel another one. A stretched level may be one off Pillow's, which rounds before it.

    Args: images, uint8 [B, H, W, C]; kind, int [B], of OPERATIONS; amount, float [B]: bits that are kept, the
    threshold of solarize, or what is added below one.
    """
    counts = resampling.count_levels(images)
    level = jnp.arange(LEVELS, dtype=jnp.int32)[None, :, None]
    kind, amount = kind[:, None, None], amount.astype(jnp.float32)[:, None, None]

    bits = jnp.clip(amount.astype(jnp.int32), 0, 8)
    solarized = jnp.where(level.astype(jnp.float32) < amount, level, LEVELS - 1 - level)
    raised = jnp.where(level < _SOLARIZED, level + amount.astype(jnp.int32), level)
    tables = {
        POSTERIZE: level >> (8 - bits) << (8 - bits),
        SOLARIZE: solarized,
        SOLARIZE_ADD: raised,
        INVERT: LEVELS - 1 - level,
        AUTOCONTRAST: _stretched(counts, level),
        EQUALIZE: _equalized(counts, level),
    }
    table = jnp.broadcast_to(level, counts.shape)
    for operation, made in tables.items():
        table = jnp.where(kind == operation, made, table)
    table = jnp.clip(table, 0, LEVELS - 1).astype(jnp.uint8)
    return resampling.replace_levels(images, table)


def _stretched(counts: jax.Array, level: jax.Array) -> jax.Array:
    """From the lowest level that occurs to the highest, spread over all."""
    low, high = jnp.argmax(counts > 0, axis=1, keepdims=True).astype(jnp.int32), _highest(counts)
    return jnp.where(high > low, (level - low) * (LEVELS - 1) // jnp.maximum(high - low, 1), level)


def _equalized(counts: jax.Array, level: jax.Array) -> jax.Array:
    """Each level by how many pixels are below it; as it was where there are too few."""
    last = jnp.take_along_axis(counts, _highest(counts), axis=1)
    step = (jnp.sum(counts, axis=1, keepdims=True) - last) // (LEVELS - 1)
    below = jnp.cumsum(counts, axis=1) - counts
    return jnp.where(step > 0, (step // 2 + below) // jnp.maximum(step, 1), level)


def _highest(counts: jax.Array) -> jax.Array:
    return LEVELS - 1 - jnp.argmax(counts[:, ::-1] > 0, axis=1, keepdims=True).astype(jnp.int32)


def _level(values: jax.Array) -> jax.Array:
    """Fractions cut off, and what is outside of 8 bits."""
    return jnp.clip(values, 0, LEVELS - 1).astype(jnp.uint8)


def operate(images: jax.Array, kind: jax.Array, amount: jax.Array, moved: jax.Array) -> jax.Array:
    """Carry out each image's operation, for which moved has the images of the affine maps."""
    blended, looked_up = blend(images, kind, amount), look_up(images, kind, amount)
    kind = kind[:, None, None, None]
    return jnp.where(kind < BRIGHTNESS, moved, jnp.where(kind < POSTERIZE, blended, looked_up))


def make_rand_augment(text: str) -> Augmentation:
    """Build `(key, images uint8 [B, S, S, C]) -> images`, C being 1 or 3, from a text; of "" the identity.

    Args: text, such as `rand-m6-n2-mstd1.0`, as timm reads it, or `torchvision-rand-m9-n2`.
    Raises: GiftError for anything else.
    """
    if not text:
        return lambda key, images: images
    found = re.fullmatch(r"(torchvision-)?rand-m(\d+)-n([1-9]\d*)(?:-mstd(\d+(?:\.\d+)?))?", text)
    if found is None or (found[1] and found[4]):
        raise GiftError(
            f"RandAugment {text!r} is unknown; write rand-m6-n2 or rand-m6-n2-mstd1.0 for timm's, "
            "torchvision-rand-m9-n2 for torchvision's"
        )
    magnitude, layers, deviation = int(found[2]), int(found[3]), float(found[4] or 0)
    layer, most = functools.partial(_timm_layer, magnitude, deviation), int(MOST)
    if found[1]:
        layer, most = functools.partial(_torchvision_layer, magnitude), BINS - 1
    if magnitude > most:
        raise GiftError(f"RandAugment {text!r}: m is at most {most}")

    def augment(key: jax.Array, images: jax.Array) -> jax.Array:
        for one in jax.random.split(key, layers):
            images = layer(one, images)
        return images

    return augment


def torchvision_operations(magnitude: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """All that torchvision draws from, each twice: as kind, int [28], and amount, float [28], of both signs."""
    share = magnitude / (BINS - 1)
    pixels = float(int(np.float32(_FURTHEST * side) * np.float32(share)))
    amounts = {
        **dict.fromkeys((SHEAR_X, SHEAR_Y), (0.3 * share, -0.3 * share)),
        **dict.fromkeys((TRANSLATE_X, TRANSLATE_Y), (-pixels, pixels)),
        ROTATE: (30 * share, -30 * share),
        **dict.fromkeys((BRIGHTNESS, COLOR, CONTRAST, SHARPNESS), (1 + 0.9 * share, 1 - 0.9 * share)),
        POSTERIZE: (8.0 - round(4 * share),) * 2,
        SOLARIZE: (255 * (1 - share),) * 2,
    }
    kinds = [kind for kind in TORCHVISION for _ in range(2)]
    return np.array(kinds, np.int32), np.array([amounts.get(kind, (0.0,) * 2) for kind in TORCHVISION]).reshape(-1)


def _torchvision_layer(magnitude: int, key: jax.Array, images: jax.Array) -> jax.Array:
    kinds, amounts = torchvision_operations(magnitude, images.shape[1])
    drawn = jax.random.randint(key, images.shape[:1], 0, len(kinds))
    places = jnp.asarray(fixed(matrices_of(kinds, amounts, images.shape[1], np)))
    kind, amount = jnp.asarray(kinds)[drawn], jnp.asarray(amounts, jnp.float32)[drawn]
    return operate(images, kind, amount, move(images, places[drawn]))


def timm_amounts(level: jax.Array, sign: jax.Array, side: int) -> jax.Array:
    """Amounts [B, 16] of all OPERATIONS at levels in [0, 10] and signs of -1 or 1, float [B]."""
    share, zero = level / MOST, jnp.zeros_like(level)
    amounts = {
        **dict.fromkeys((SHEAR_X, SHEAR_Y), 0.3 * share * sign),
        **dict.fromkeys((TRANSLATE_X, TRANSLATE_Y), 0.45 * share * sign * side),
        ROTATE: 30 * share * sign,
        **dict.fromkeys((BRIGHTNESS, COLOR, CONTRAST, SHARPNESS), 1.8 * share + 0.1),
        POSTERIZE: jnp.floor(4 * share),
        SOLARIZE: jnp.floor(LEVELS * share),
        SOLARIZE_ADD: jnp.floor(_ADDED * share),
    }
    return jnp.stack([amounts.get(kind, zero) for kind in OPERATIONS], axis=1)


def _timm_layer(magnitude: int, deviation: float, key: jax.Array, images: jax.Array) -> jax.Array:
    keys = jax.random.split(key, 5)
    count, side, _, channels = images.shape
    kind = jnp.asarray(TIMM, jnp.int32)[jax.random.randint(keys[0], (count,), 0, len(TIMM))]
    kind = jnp.where(jax.random.bernoulli(keys[1], TIMM_SHARE, (count,)), kind, IDENTITY)
    level = jnp.clip(magnitude + deviation * jax.random.normal(keys[2], (count,)), 0, MOST)
    sign = jnp.where(jax.random.bernoulli(keys[3], shape=(count,)), 1.0, -1.0)
    amount = jnp.take_along_axis(timm_amounts(level, sign, side), kind[:, None], axis=1)[:, 0]
    cubic = jax.random.bernoulli(keys[4], shape=(count,))
    fill = jnp.asarray(TIMM_FILL if channels == len(TIMM_FILL) else (LEVELS // 2,) * channels, jnp.uint8)
    return operate(images, kind, amount, move_smoothly(images, matrices_of(kind, amount, side, jnp), cubic, fill))
