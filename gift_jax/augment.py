"""Image augmentation on the device: the names of `gift_jax.pixels` that other code may rely on."""

from gift_jax.pixels.crops import mosaic_crop
from gift_jax.pixels.dsa import (
    DSA_STRATEGY,
    OPERATIONS,
    brightness,
    contrast,
    cutout,
    cutout_limit,
    flip,
    make_strategy,
    rotate,
    saturation,
    scale,
)
from gift_jax.pixels.dsa import shift as crop
from gift_jax.pixels.dsa import shift_limit as crop_limit
from gift_jax.pixels.mixing import MIXINGS, cutmix, make_mixing, mixup

__all__ = [
    "DSA_STRATEGY", "MIXINGS", "OPERATIONS", "brightness", "contrast", "crop", "crop_limit", "cutmix", "cutout",
    "cutout_limit", "flip", "make_mixing", "make_strategy", "mixup", "mosaic_crop", "rotate", "saturation", "scale",
]  # fmt: skip
