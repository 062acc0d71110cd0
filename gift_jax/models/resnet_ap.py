"""ResNetAP-10, the student of IDC's and Minimax's protocol: a ResNet of four blocks that pools where others stride.

Reference: snu-mllab/Efficient-Dataset-Condensation, `models/resnet_ap.py`, which vimar-gu/MinimaxDiffusion has too.
"""

import jax
from flax import nnx

from gift_jax.errors import GiftError, unknown_name
from gift_jax.models.layers import Classifier, linear, stage_outputs
from gift_jax.models.norms import ConvNorm, conv_norm, norm_relu_pool
from gift_jax.models.pooling import avg_pool

NORM_NAMES = ("instance", "batch")
STRIDES = (1, 2, 2, 2)  # of the four stages, which are one block each


def stem_shape(image_size: int) -> tuple[int, int]:
    """Kernel and pooling window of the first layer, in pixels, for images of this side."""
    return next((shape for limit, shape in ((64, (3, 1)), (128, (3, 2))) if image_size <= limit), (7, 4))


class Block(nnx.Module):
    """A residual block, `relu(branch(x) + shortcut(x))`, whose branch is pooled behind its first ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str, *, rngs: nnx.Rngs) -> None:
        self.conv1 = conv_norm(inputs, outputs, 3, norm=norm, rngs=rngs)
        self.conv2 = conv_norm(outputs, outputs, 3, norm=norm, rngs=rngs)
        if stride != 1 or inputs != outputs:
            self.downsample = conv_norm(inputs, outputs, 1, norm=norm, rngs=rngs)
        self.stride = stride

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H // stride, W // stride, outputs]."""
        # The authors pool behind the 1x1 convolution: the same mean, of four times as many products.
        shortcut = self.downsample(avg_pool(x, self.stride), train=train) if hasattr(self, "downsample") else x
        branch = self.conv2(_relu_pool(self.conv1, x, self.stride, train=train), train=train)
        return nnx.relu(branch + shortcut)


class ResNetAP(Classifier):
    """ResNetAP-10; images [B, H, W, channels] of 8 pixels or more -> logits [B, num_classes].

    The stem depends on the image's side: up to 64 pixels a 3x3 convolution, up to 128 one that is pooled by 2, else
    a 7x7 one that is pooled by 4. With width 32 it is the authors' form for CIFAR. norm is `instance` or `batch`.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        channels: int = 3,
        width: int = 64,
        norm: str = "instance",
        rngs: nnx.Rngs,
    ) -> None:
        if norm not in NORM_NAMES:
            raise unknown_name("norm", norm, NORM_NAMES)
        if image_size < 8:
            raise GiftError(f"a ResNetAP-10 needs images of at least 8 pixels, not {image_size}")
        kernel, self.window = stem_shape(image_size)
        self.stem = conv_norm(channels, width, kernel, norm=norm, rngs=rngs)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nnx.List([Block(widths[index], widths[index + 1], STRIDES[index], norm, rngs=rngs)]) for index in range(4)
        )
        self.fc = linear(widths[-1], num_classes, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem and of the four stages. Args: images [B, H, W, channels]."""
        x = _relu_pool(self.stem, images, self.window, train=train)
        return stage_outputs(x, (self.layer1, self.layer2, self.layer3, self.layer4), train=train)


def _relu_pool(layer: ConvNorm, x: jax.Array, window: int, *, train: bool) -> jax.Array:
    """`avg_pool(relu(layer(x)), window)`, without pooling if the window is 1."""
    if window == 2:
        return norm_relu_pool(layer.norm, layer.conv(x), train=train)
    x = nnx.relu(layer(x, train=train))
    return x if window == 1 else avg_pool(x, window)
