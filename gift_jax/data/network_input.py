"""From stored pixels to a network's input, on the device."""

import jax
import jax.numpy as jnp

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import PixelSpace


def to_input(images: jax.Array, pixel_space: PixelSpace, normalisation: Normalisation) -> jax.Array:
    """Turn stored pixels into a network's input: `(x / 255 - mean) / std` for raw uint8 ones.

    Args: images, uint8 or float [B, H, W, C]; pixel_space: `raw` float images are in [0, 1], `normalised` and
    `zca` ones pass unchanged. Returns: float [B, H, W, C].
    """
    if pixel_space != "raw":
        return images
    if images.dtype == jnp.uint8:
        images = images.astype(jnp.float32) / 255
    mean = jnp.asarray(normalisation.mean, images.dtype)[None, None, None]
    return (images - mean) / jnp.asarray(normalisation.std, images.dtype)[None, None, None]
