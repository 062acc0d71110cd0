"""ShuffleNetV2 of width 0.5, as torchvision builds it. Reference: torchvision `models/shufflenetv2.py`."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.models.layers import Classifier, linear, stage_outputs, torch_kernel_init
from gift_jax.models.norms import conv_norm
from gift_jax.models.pooling import max_pool

STEM_WIDTH, LAST_WIDTH = 24, 1024
STAGES = ((48, 4), (96, 8), (192, 4))  # (width, blocks); the first block of each halves the image

_conv_norm = functools.partial(conv_norm, kernel_init=torch_kernel_init)


def shuffle(x: jax.Array) -> jax.Array:
    """Interleave the two halves of the channels of x [B, H, W, C]."""
    halves = x.reshape(*x.shape[:3], 2, -1)
    return jnp.swapaxes(halves, 3, 4).reshape(x.shape)


class Block(nnx.Module):
    """Half of the channels pass (or, where the image is halved, are filtered), half go through a branch; shuffled."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs) -> None:
        half = outputs // 2
        if stride > 1:
            self.side_filter = _conv_norm(inputs, inputs, 3, strides=stride, groups=inputs, rngs=rngs)
            self.side_project = _conv_norm(inputs, half, 1, rngs=rngs)
        self.expand = _conv_norm(inputs if stride > 1 else half, half, 1, rngs=rngs)
        self.filter = _conv_norm(half, half, 3, strides=stride, groups=half, rngs=rngs)
        self.project = _conv_norm(half, half, 1, rngs=rngs)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H / stride, W / stride, outputs]."""
        if hasattr(self, "side_filter"):
            side = nnx.relu(self.side_project(self.side_filter(x, train=train), train=train))
        else:
            side, x = jnp.split(x, 2, axis=3)
        hidden = self.filter(nnx.relu(self.expand(x, train=train)), train=train)
        return shuffle(jnp.concatenate([side, nnx.relu(self.project(hidden, train=train))], axis=3))


class ShuffleNetV2(Classifier):
    """ShuffleNetV2 x0.5; images [B, H, W, channels] of any side -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        self.stem = _conv_norm(channels, STEM_WIDTH, 3, strides=2, rngs=rngs)
        stages, inputs = [], STEM_WIDTH
        for width, count in STAGES:
            first = Block(inputs, width, 2, rngs=rngs)
            stages.append(nnx.List([first, *(Block(width, width, 1, rngs=rngs) for _ in range(1, count))]))
            inputs = width
        self.stages = nnx.List(stages)
        self.head = _conv_norm(inputs, LAST_WIDTH, 1, rngs=rngs)
        self.fc = linear(LAST_WIDTH, num_classes, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem (after pooling), the three stages and the head. Args: images [B, H, W, channels]."""
        x = max_pool(nnx.relu(self.stem(images, train=train)), 3, stride=2, padding=1)
        outputs = stage_outputs(x, self.stages, train=train)
        return [*outputs, nnx.relu(self.head(outputs[-1], train=train))]
