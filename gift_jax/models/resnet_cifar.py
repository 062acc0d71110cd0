"""The ResNets of 20 to 110 layers for CIFAR: three stages of 16, 32 and 64 channels, of basic blocks.

Reference: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2; 6n + 2 layers, n blocks a stage.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.errors import unknown_name
from gift_jax.models.layers import Classifier, linear, stage_outputs
from gift_jax.models.norms import conv_norm

DEPTHS = (20, 32, 44, 56, 110)
WIDTHS = (16, 32, 64)
SHORTCUTS = ("padded", "projected")  # types A and B of the paper
# As the paper initialises: normal, of variance 2 / fan_in.
he_normal = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")


class Block(nnx.Module):
    """A residual block of two 3x3 convolutions, `relu(branch(x) + shortcut(x))`."""

    def __init__(self, inputs: int, outputs: int, shortcut: str, *, rngs: nnx.Rngs) -> None:
        self.stride = 1 if inputs == outputs else 2
        self.widened = (outputs - inputs) // 2  # channels of zeros on each side of a padded shortcut
        self.conv1 = conv_norm(inputs, outputs, 3, strides=self.stride, kernel_init=he_normal, rngs=rngs)
        self.conv2 = conv_norm(outputs, outputs, 3, kernel_init=he_normal, rngs=rngs)
        if shortcut == "projected" and inputs != outputs:
            self.shortcut = conv_norm(inputs, outputs, 1, strides=self.stride, kernel_init=he_normal, rngs=rngs)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H / stride, W / stride, outputs]."""
        branch = self.conv2(nnx.relu(self.conv1(x, train=train)), train=train)
        if hasattr(self, "shortcut"):
            return nnx.relu(branch + self.shortcut(x, train=train))
        every = x[:, :: self.stride, :: self.stride]
        return nnx.relu(branch + jnp.pad(every, ((0, 0), (0, 0), (0, 0), (self.widened, self.widened))))


class ResNetCifar(Classifier):
    """ResNet of a depth in `DEPTHS`; images [B, H, W, channels] of any side -> logits [B, num_classes].

    shortcut is `padded`, every second pixel between channels of zeros, or `projected`, a 1x1 convolution and BatchNorm.
    """

    def __init__(
        self,
        *,
        depth: int,
        num_classes: int,
        image_size: int,
        channels: int = 3,
        shortcut: str = "padded",
        rngs: nnx.Rngs,
    ) -> None:
        if shortcut not in SHORTCUTS:
            raise unknown_name("shortcut", shortcut, SHORTCUTS)

        def stage(inputs: int, outputs: int) -> nnx.List:
            widths = (inputs, *[outputs] * (blocks_per_stage(depth) - 1))
            return nnx.List([Block(width, outputs, shortcut, rngs=rngs) for width in widths])

        first, second, third = WIDTHS
        self.stem = conv_norm(channels, first, 3, kernel_init=he_normal, rngs=rngs)
        self.layer1, self.layer2, self.layer3 = stage(first, first), stage(first, second), stage(second, third)
        self.linear = linear(third, num_classes, kernel_init=he_normal, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem and of the three stages. Args: images [B, H, W, channels]."""
        x = nnx.relu(self.stem(images, train=train))
        return stage_outputs(x, (self.layer1, self.layer2, self.layer3), train=train)

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.linear(jnp.mean(x, axis=(1, 2)))


def blocks_per_stage(depth: int) -> int:
    """The n of 6n + 2 layers."""
    return (depth - 2) // 6
