"""The ConvNet of dataset distillation: blocks of 3x3 convolution, norm, ReLU and 2x2 mean pooling.

Reference: RDED `synthesize/models.py` (batch norm, `conv3` to `conv6`) and DC/MTT/DATM `networks.py`
(instance norm by default), which are the same function of the same weights.
"""

import jax
from flax import nnx

from gift_jax.errors import GiftError, unknown_name
from gift_jax.models.layers import conv, linear
from gift_jax.models.norms import NORMS, ConvNorm, norm_relu_pool


def first_padding(channels: int, image_size: int) -> int:
    """Padding of the first convolution, in pixels: 3 for grey 28x28 images, which makes them 32x32; else 1."""
    return 3 if (channels, image_size) == (1, 28) else 1


def feature_side(depth: int, channels: int, image_size: int) -> int:
    """Side of the last feature map, in pixels: the padded side halved depth times, rounded down."""
    return (image_size + 2 * first_padding(channels, image_size) - 2) >> depth


class ConvNet(nnx.Module):
    """ConvNet of `depth` blocks and a linear classifier; images [B, H, W, channels] -> logits [B, classes].

    The classifier reads the feature map flattened HWC (PyTorch: CHW).
    """

    def __init__(
        self,
        *,
        depth: int,
        num_classes: int,
        image_size: int,
        channels: int = 3,
        width: int = 128,
        norm: str = "batch",
        rngs: nnx.Rngs,
    ) -> None:
        if norm not in NORMS:
            raise unknown_name("norm", norm, NORMS)
        if feature_side(depth, channels, image_size) < 1:
            raise GiftError(f"a ConvNet of depth {depth} needs images of at least {2**depth} pixels, not {image_size}")

        def block(index: int) -> ConvNorm:
            inputs, padding = (width, 1) if index else (channels, first_padding(channels, image_size))
            convolution = conv(inputs, width, 3, padding=padding, rngs=rngs)
            return ConvNorm(convolution, NORMS[norm](width, feature_side(index, channels, image_size), rngs))

        self.blocks = nnx.List(block(index) for index in range(depth))
        self.classifier = linear(width * feature_side(depth, channels, image_size) ** 2, num_classes, rngs=rngs)

    def __call__(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> jax.Array:
        """Classify images [B, H, W, channels], normalised. Returns: logits [B, num_classes]."""
        x = images
        for block in self.blocks:
            x = norm_relu_pool(block.norm, block.conv(x), train=train)
        return self.classifier(x.reshape(x.shape[0], -1))
