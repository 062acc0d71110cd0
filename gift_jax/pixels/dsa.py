"""Image augmentation on the device: operations with explicit draws, then strategies with explicit keys.

Operations take NHWC float batches and one draw an image; `u` is uniform in [0, 1). Strategies draw them
from a key: `(key, images [B, H, W, C]) -> images`. Geometry outside the image is zero, which is the mean
colour, since the official code augments normalised images.
Reference: DSA (Zhao & Bilen, 2021), with the parameters of the official GIFT code.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from gift_jax.errors import GiftError
from gift_jax.pixels import Augmentation, dc, resampling
from gift_jax.pixels.resampling import take_pixels
from gift_jax.pixels.resampling.products import weigh

FLIP_PROBABILITY = 0.5
BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
SHIFT_RATIO, CUTOUT_RATIO, SCALE_RATIO = 0.125, 0.5, 1.2
ROTATE_DEGREES = 15.0

DSA_STRATEGY = "color_crop_cutout_flip_scale_rotate"


def _per_image(draws: jax.Array, images: jax.Array) -> jax.Array:
    """Shape draws [B] to broadcast over images [B, H, W, C], in their dtype."""
    return draws.astype(images.dtype)[:, None, None, None]


def flip(images: jax.Array, u: jax.Array) -> jax.Array:
    """Mirror left to right where `u < 0.5`. Args: images [B, H, W, C]; u [B]."""
    return jnp.where((u < FLIP_PROBABILITY)[:, None, None, None], images[:, :, ::-1], images)


def brightness(images: jax.Array, u: jax.Array) -> jax.Array:
    """Add a constant in [-0.5, 0.5): `x + (u - 0.5)`. Args: images [B, H, W, C]; u [B]."""
    return images + (_per_image(u, images) - 0.5) * BRIGHTNESS


def saturation(images: jax.Array, u: jax.Array) -> jax.Array:
    """Scale the distance to the grey image by `2u`. Args: images [B, H, W, C]; u [B]."""
    grey = jnp.mean(images, axis=-1, keepdims=True)
    return (images - grey) * (_per_image(u, images) * SATURATION) + grey


def contrast(images: jax.Array, u: jax.Array) -> jax.Array:
    """Scale the distance to the image's mean by `u + 0.5`. Args: images [B, H, W, C]; u [B]."""
    mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - mean) * (_per_image(u, images) + CONTRAST) + mean


def shift(images: jax.Array, shift_h: jax.Array, shift_w: jax.Array) -> jax.Array:
    """Shift by whole pixels, zero outside: `out[i, j] = in[i + shift_h, j + shift_w]`.

    Args: images [B, H, W, C]; shift_h, shift_w, int [B], in +-`shift_limit(H)`, +-`shift_limit(W)`.
    """
    rows, columns = (jnp.arange(size)[None] for size in images.shape[1:3])
    return take_pixels(images, rows + shift_h[:, None], columns + shift_w[:, None])


def shift_limit(size: int) -> int:
    """Largest one of `shift`, in pixels: an eighth of the side, rounded to nearest."""
    return int(size * SHIFT_RATIO + 0.5)


def cutout(images: jax.Array, offset_h: jax.Array, offset_w: jax.Array) -> jax.Array:
    """Set a square of half the side, centred on the offset and cut at the edges, to zero.

    Args: images [B, H, W, C]; offset_h, offset_w, int [B], below `cutout_limit(H)`, `cutout_limit(W)`.
    """
    inside_h = _inside(images.shape[1], offset_h)[:, :, None, None]
    inside_w = _inside(images.shape[2], offset_w)[:, None, :, None]
    return jnp.where(inside_h & inside_w, jnp.zeros_like(images), images)


def _inside(size: int, offset: jax.Array) -> jax.Array:
    length = int(size * CUTOUT_RATIO + 0.5)
    first = (offset - length // 2)[:, None]
    position = jnp.arange(size)[None, :]
    return (position >= first) & (position < first + length)


def cutout_limit(size: int) -> int:
    """Exclusive upper bound of `cutout`'s offsets, in pixels; an even square may centre on the far edge."""
    return size + 1 - int(size * CUTOUT_RATIO + 0.5) % 2


def scale(images: jax.Array, u_x: jax.Array, u_y: jax.Array) -> jax.Array:
    """Zoom about the centre, bilinear: coordinates times `u (1.2 - 1/1.2) + 1/1.2`.

    Args: images [B, H, W, C]; u_x (width), u_y (height) [B]. Above one the image shrinks.
    Reference: `affine_grid` and `grid_sample` of PyTorch (align_corners=False, zero padding). The zoom is
    separable, so it is two matrix products with the triangle kernel, which a gather would not beat.
    """
    weights_h = _zoom_weights(images.shape[1], u_y, images.dtype)
    weights_w = _zoom_weights(images.shape[2], u_x, images.dtype)
    return weigh(images, weights_h, weights_w)


def _zoom_weights(size: int, u: jax.Array, dtype: jnp.dtype) -> jax.Array:
    ratio = u.astype(dtype) * (SCALE_RATIO - 1 / SCALE_RATIO) + 1 / SCALE_RATIO
    pixels = jnp.arange(size, dtype=dtype)
    centre = (size - 1) / 2
    source = (pixels[None, :] - centre) * ratio[:, None] + centre
    return jnp.maximum(1 - jnp.abs(source[:, :, None] - pixels[None, None, :]), 0)


def rotate(images: jax.Array, u: jax.Array) -> jax.Array:
    """Rotate about the centre by `(2u - 1) 15` degrees, bilinear. Args: images [B, H, W, C]; u [B]."""
    most = math.radians(ROTATE_DEGREES)
    return resampling.rotate(images, (u.astype(images.dtype) - 0.5) * (2 * most), most)


def _uniform(key: jax.Array, images: jax.Array) -> jax.Array:
    return jax.random.uniform(key, images.shape[:1], images.dtype)


def _places(key: jax.Array, images: jax.Array, limits: Callable[[int], tuple[int, int]]) -> tuple[jax.Array, jax.Array]:
    """Rows and columns, int [B], between limits, which are those of a side."""
    key_h, key_w = jax.random.split(key)
    batch, height, width, _ = images.shape
    rows = jax.random.randint(key_h, (batch,), *limits(height))
    return rows, jax.random.randint(key_w, (batch,), *limits(width))


def _random_color(key: jax.Array, images: jax.Array) -> jax.Array:
    keys = jax.random.split(key, 3)
    images = brightness(images, _uniform(keys[0], images))
    images = saturation(images, _uniform(keys[1], images))
    return contrast(images, _uniform(keys[2], images))


def _random_shift(key: jax.Array, images: jax.Array) -> jax.Array:
    return shift(images, *_places(key, images, lambda side: (-shift_limit(side), shift_limit(side) + 1)))


def _random_scale(key: jax.Array, images: jax.Array) -> jax.Array:
    key_x, key_y = jax.random.split(key)
    return scale(images, _uniform(key_x, images), _uniform(key_y, images))


OPERATIONS: Mapping[str, Augmentation] = {
    "flip": lambda key, images: flip(images, _uniform(key, images)),
    "color": _random_color,
    "crop": _random_shift,
    "scale": _random_scale,
    "rotate": lambda key, images: rotate(images, _uniform(key, images)),
    "cutout": lambda key, images: cutout(images, *_places(key, images, lambda side: (0, cutout_limit(side)))),
}
# Applied to every batch; of the others, one is chosen for each batch.
_ALWAYS_BEFORE, _ALWAYS_AFTER = ("flip", "color"), ("cutout",)
_DC = "dc:"


def make_strategy(strategy: str = DSA_STRATEGY, *, single: bool = False) -> Augmentation:
    """Build an augmentation from a name such as `color_crop_cutout_flip_scale_rotate`; `none` is the identity.

    The official GIFT code's: flip, then color, on every image; then one of the named crop, scale and rotate for
    the batch (parameters still an image each); then cutout. With single, one of all named operations for the batch
    and nothing else: mode `S` of DC's DiffAugment, which DATM trains with. A name such as `dc:crop_scale_rotate` is of
    DC's own augmentation (`gift_jax.pixels.dc`): one of its operations for each image.
    Returns: `(key, images [B, H, W, C]) -> images`. Raises: GiftError for an unknown operation.
    """
    own = strategy.startswith(_DC)
    operations = dc.OPERATIONS if own else OPERATIONS
    names = [] if strategy == "none" else strategy.removeprefix(_DC).split("_")
    if unknown := [name for name in names if name not in operations]:
        known = ", ".join(operations)
        raise GiftError(f"augmentation {strategy!r}: {unknown[0]!r} is unknown; join some of {known} by '_', or 'none'")
    if own:
        return _one_an_image([operations[name] for name in names])
    before = [OPERATIONS[name] for name in _ALWAYS_BEFORE if name in names and not single]
    after = [OPERATIONS[name] for name in _ALWAYS_AFTER if name in names and not single]
    chosen = [OPERATIONS[name] for name in names if single or name not in _ALWAYS_BEFORE + _ALWAYS_AFTER]

    def augment(key: jax.Array, images: jax.Array) -> jax.Array:
        choice_key, *keys = jax.random.split(key, 2 + len(before) + len(after))
        for operation in before:
            images = operation(keys.pop(), images)
        if chosen:
            choice = jax.random.randint(choice_key, (), 0, len(chosen))
            images = jax.lax.switch(choice, chosen, keys.pop(), images)
        for operation in after:
            images = operation(keys.pop(), images)
        return images

    return augment


def _one_an_image(operations: Sequence[Augmentation]) -> Augmentation:
    """One of the operations for each image; all are computed, since they draw little and images are small."""

    def augment(key: jax.Array, images: jax.Array) -> jax.Array:
        choice_key, *keys = jax.random.split(key, 1 + len(operations))
        results = jnp.stack([operation(one, images) for operation, one in zip(operations, keys, strict=True)])
        chosen = jax.random.randint(choice_key, images.shape[:1], 0, len(operations))
        return results[chosen, jnp.arange(len(images))]

    return augment
