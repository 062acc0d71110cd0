"""EfficientNet-B0, as torchvision builds it. Reference: torchvision `models/efficientnet.py`."""

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.models.layers import Classifier, conv, dropout, kaiming_normal, linear, stochastic_depth, zeros
from gift_jax.models.norms import conv_norm

# (expansion, kernel, stride of the first, width, repeats)
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
BLOCKS = sum(stage[-1] for stage in STAGES)
STEM_WIDTH, LAST_WIDTH = 32, 1280
DROPOUT, STOCHASTIC_DEPTH = 0.2, 0.2


class SqueezeExcitation(nnx.Module):
    """Scale channels by what the mean over the image says: `x sigmoid(expand(silu(reduce(mean x))))`."""

    def __init__(self, channels: int, squeezed: int, *, rngs: nnx.Rngs) -> None:
        self.reduce = conv(channels, squeezed, 1, kernel_init=kaiming_normal, bias_init=zeros, rngs=rngs)
        self.expand = conv(squeezed, channels, 1, kernel_init=kaiming_normal, bias_init=zeros, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Args: x [B, H, W, channels]. Returns: the same shape."""
        mean = jnp.mean(x, axis=(1, 2), keepdims=True)
        return x * nnx.sigmoid(self.expand(nnx.silu(self.reduce(mean))))


class Block(nnx.Module):
    """Expand (unless by one), filter each channel, weigh channels, project; a shortcut where shape allows."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, place: int, *, rngs: nnx.Rngs
    ) -> None:
        hidden = inputs * expansion
        if expansion != 1:
            self.expand = conv_norm(inputs, hidden, 1, rngs=rngs)
        self.filter = conv_norm(hidden, hidden, kernel, strides=stride, groups=hidden, rngs=rngs)
        self.excite = SqueezeExcitation(hidden, max(1, inputs // 4), rngs=rngs)
        self.project = conv_norm(hidden, outputs, 1, rngs=rngs)
        self.shortcut = stride == 1 and inputs == outputs
        self.drop_rate, self.place = STOCHASTIC_DEPTH * place / BLOCKS, place

    def __call__(self, x: jax.Array, *, train: bool, key: jax.Array | None) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H / stride, W / stride, outputs]."""
        hidden = nnx.silu(self.expand(x, train=train)) if hasattr(self, "expand") else x
        hidden = self.excite(nnx.silu(self.filter(hidden, train=train)))
        projected = self.project(hidden, train=train)
        return x + stochastic_depth(projected, self.drop_rate, key, self.place) if self.shortcut else projected


class EfficientNet(Classifier):
    """EfficientNet-B0; images [B, H, W, channels] of any side -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        self.stem = conv_norm(channels, STEM_WIDTH, 3, strides=2, rngs=rngs)
        blocks, inputs = [], STEM_WIDTH
        for expansion, kernel, first_stride, width, repeats in STAGES:
            for stride in (first_stride, *[1] * (repeats - 1)):
                blocks.append(Block(inputs, width, expansion, kernel, stride, len(blocks), rngs=rngs))
                inputs = width
        self.blocks = nnx.List(blocks)
        self.head = conv_norm(inputs, LAST_WIDTH, 1, rngs=rngs)
        # torchvision draws this layer from +-1/sqrt(outputs), not inputs.
        uniform = nnx.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
        self.classifier = linear(LAST_WIDTH, num_classes, kernel_init=uniform, bias_init=zeros, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem, of every block and of the head. Args: images [B, H, W, channels]."""
        outputs = [nnx.silu(self.stem(images, train=train))]
        for block in self.blocks:
            outputs.append(block(outputs[-1], train=train, key=key))
        return [*outputs, nnx.silu(self.head(outputs[-1], train=train))]

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.classifier(dropout(jnp.mean(x, axis=(1, 2)), DROPOUT, key, BLOCKS))
