"""MobileNetV2, as torchvision builds it. Reference: torchvision `models/mobilenetv2.py`."""

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.models.layers import Classifier, dropout, linear, normal_init, zeros
from gift_jax.models.norms import conv_norm

# (expansion, width, repeats, stride of the first)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM_WIDTH, LAST_WIDTH = 32, 1280
DROPOUT = 0.2


class InvertedResidual(nnx.Module):
    """Expand (unless by one), filter each channel, project; a shortcut where shape allows."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, *, rngs: nnx.Rngs) -> None:
        hidden = inputs * expansion
        if expansion != 1:
            self.expand = conv_norm(inputs, hidden, 1, rngs=rngs)
        self.filter = conv_norm(hidden, hidden, 3, strides=stride, groups=hidden, rngs=rngs)
        self.project = conv_norm(hidden, outputs, 1, rngs=rngs)
        self.shortcut = stride == 1 and inputs == outputs

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H / stride, W / stride, outputs]."""
        hidden = nnx.relu6(self.expand(x, train=train)) if hasattr(self, "expand") else x
        projected = self.project(nnx.relu6(self.filter(hidden, train=train)), train=train)
        return x + projected if self.shortcut else projected


class MobileNetV2(Classifier):
    """MobileNetV2 of width 1; images [B, H, W, channels] of any side -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        self.stem = conv_norm(channels, STEM_WIDTH, 3, strides=2, rngs=rngs)
        blocks, inputs = [], STEM_WIDTH
        for expansion, width, repeats, first_stride in STAGES:
            for stride in (first_stride, *[1] * (repeats - 1)):
                blocks.append(InvertedResidual(inputs, width, stride, expansion, rngs=rngs))
                inputs = width
        self.blocks = nnx.List(blocks)
        self.head = conv_norm(inputs, LAST_WIDTH, 1, rngs=rngs)
        self.classifier = linear(LAST_WIDTH, num_classes, kernel_init=normal_init(0.01), bias_init=zeros, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem, of every block and of the head. Args: images [B, H, W, channels]."""
        outputs = [nnx.relu6(self.stem(images, train=train))]
        for block in self.blocks:
            outputs.append(block(outputs[-1], train=train))
        return [*outputs, nnx.relu6(self.head(outputs[-1], train=train))]

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.classifier(dropout(jnp.mean(x, axis=(1, 2)), DROPOUT, key, 0))
