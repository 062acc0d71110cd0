"""What happens to pixels on the device: augmentation, boxes cut out and resized, mixing, and resampling under them all.

Three things are called a crop elsewhere: DSA's is a `shift` by whole pixels (`dsa`), DC's a `padded_crop` (`dc`), and
torchvision's a box that is cut out and resized (`crops`).
"""

from collections.abc import Callable

import jax

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]
"""`(key, images [B, H, W, C]) -> images` of the same shape."""
