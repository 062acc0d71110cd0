"""ConvNeXt-Tiny, as torchvision builds it. Reference: torchvision `models/convnext.py`."""

import functools
import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.models import layers
from gift_jax.models.layers import Classifier, normal_init, stage_outputs, stochastic_depth, zeros
from gift_jax.models.norms import ConvNorm, LayerNorm

STAGES = ((96, 3), (192, 3), (384, 9), (768, 3))  # (width, blocks)
BLOCKS = sum(count for _, count in STAGES)
LAYER_SCALE, STOCHASTIC_DEPTH, EPSILON = 1e-6, 0.1, 1e-6

# torch's trunc_normal_(std=0.02) cuts at +-2, a hundred standard deviations: a normal.
_INITIAL = {"kernel_init": normal_init(0.02), "bias_init": zeros}
conv = functools.partial(layers.conv, **_INITIAL)
linear = functools.partial(layers.linear, **_INITIAL)
norm = functools.partial(LayerNorm, epsilon=EPSILON)


class Block(nnx.Module):
    """`x + scale mlp(norm(filter(x)))`: a 7x7 filter of each channel and two linear layers."""

    def __init__(self, width: int, place: int, *, rngs: nnx.Rngs) -> None:
        self.filter = conv(width, width, 7, padding=3, groups=width, rngs=rngs)
        self.norm = norm((width,), rngs=rngs)
        self.expand = linear(width, 4 * width, rngs=rngs)
        self.project = linear(4 * width, width, rngs=rngs)
        self.layer_scale = nnx.Param(jnp.full((1, 1, width), LAYER_SCALE))
        self.drop_rate, self.place = STOCHASTIC_DEPTH * place / (BLOCKS - 1), place

    def __call__(self, x: jax.Array, *, key: jax.Array | None) -> jax.Array:
        """Args: x [B, H, W, width]. Returns: the same shape."""
        branch = self.project(nnx.gelu(self.expand(self.norm(self.filter(x))), approximate=False))
        return x + stochastic_depth(self.layer_scale[...][None] * branch, self.drop_rate, key, self.place)


class Downsample(nnx.Module):
    """Normalise, and halve the image by a 2x2 convolution."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.norm = norm((inputs,), rngs=rngs)
        self.conv = conv(inputs, outputs, 2, strides=2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H / 2, W / 2, outputs]."""
        return self.conv(self.norm(x))


class ConvNeXt(Classifier):
    """ConvNeXt-Tiny; images [B, H, W, channels], 32 pixels or more -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        widths, places = [width for width, _ in STAGES], itertools.count()
        self.stem = ConvNorm(conv(channels, widths[0], 4, strides=4, rngs=rngs), norm((widths[0],), rngs=rngs))
        self.stages = nnx.List(
            nnx.List(Block(width, next(places), rngs=rngs) for _ in range(count)) for width, count in STAGES
        )
        self.downsamples = nnx.List(Downsample(*pair, rngs=rngs) for pair in itertools.pairwise(widths))
        self.norm = norm((widths[-1],), rngs=rngs)
        self.classifier = linear(widths[-1], num_classes, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem, every stage and every halving between them. Args: images [B, H, W, channels]."""
        return stage_outputs(self.stem(images, train=train), self.stages, between=self.downsamples, key=key)

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.classifier(self.norm(jnp.mean(x, axis=(1, 2))))
