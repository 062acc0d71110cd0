"""IDC's colour augmentation of ImageNet's images, of pixels in [0, 1]: jitter, and the lighting of AlexNet.

Operations take NHWC float batches of three channels and draws an image; `random_colors` draws them from a key.
Reference: snu-mllab/Efficient-Dataset-Condensation, `misc/utils.py` and `transform_imagenet` of `data.py`.
"""

import jax
import jax.numpy as jnp

GREY = (0.299, 0.587, 0.114)
# Of the colours of ImageNet's pixels.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
BRIGHTNESS, CONTRAST, SATURATION = range(3)


def jitter(images: jax.Array, order: jax.Array, shares: jax.Array) -> jax.Array:
    """Move images by shares of the way to black (brightness), to their mean grey (contrast), to grey (saturation).

    Args: images [B, H, W, 3]; order, int [B, 3], which of the three is first, second and third; shares [B, 3] of each.
    """
    for place in range(3):
        kind, share = (draws[:, place][:, None, None, None] for draws in (order, shares))
        grey = jnp.einsum("bhwc,c->bhw", images, jnp.asarray(GREY, images.dtype), precision="highest")[..., None]
        level = jnp.where(kind == CONTRAST, jnp.mean(grey, axis=(1, 2), keepdims=True), grey)
        target = jnp.where(kind == BRIGHTNESS, jnp.zeros_like(level), level)
        images = images + share.astype(images.dtype) * (target - images)
    return images


def lighting(images: jax.Array, weights: jax.Array) -> jax.Array:
    """Add the principal colours of ImageNet, weighted. Args: images [B, H, W, 3]; weights [B, 3]."""
    colors = jnp.asarray(EIGENVECTORS, images.dtype) * jnp.asarray(EIGENVALUES, images.dtype)[None, :]
    added = jnp.einsum("cj,bj->bc", colors, weights.astype(images.dtype), precision="highest")
    return images + added[:, None, None, :]


def random_colors(key: jax.Array, images: jax.Array, strength: float, spread: float) -> jax.Array:
    """`jitter` in random order by shares uniform in +-strength, then `lighting` by weights of deviation spread."""
    order_key, share_key, light_key = jax.random.split(key, 3)
    shape = (len(images), 3)
    order = jax.random.permutation(order_key, jnp.broadcast_to(jnp.arange(3), shape), axis=1, independent=True)
    shares = jax.random.uniform(share_key, shape, images.dtype, -strength, strength)
    return lighting(jitter(images, order, shares), spread * jax.random.normal(light_key, shape, images.dtype))
