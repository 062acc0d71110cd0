"""Swin-V2-T, as torchvision builds it. Reference: torchvision `models/swin_transformer.py`."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gift_jax.losses import l2_normalize
from gift_jax.models import layers
from gift_jax.models.layers import Classifier, conv, normal_init, stage_outputs, stochastic_depth, zeros
from gift_jax.models.norms import ConvNorm, LayerNorm

PATCH, WINDOW, MLP_RATIO = 4, 8, 4
STAGES = ((96, 2, 3), (192, 2, 6), (384, 6, 12), (768, 2, 24))  # (width, blocks, heads)
BLOCKS = sum(count for _, count, _ in STAGES)
STOCHASTIC_DEPTH = 0.2
POSITION_HIDDEN, POSITION_SCALE, LARGEST_SCALE = 512, 16.0, math.log(100.0)
MASKED = -100.0  # added to the attention between pixels that are no neighbours in the image

# torch's trunc_normal_(std=0.02) cuts at +-2, a hundred standard deviations: a normal.
linear = functools.partial(layers.linear, kernel_init=normal_init(0.02), bias_init=zeros)


def relative_coordinates() -> np.ndarray:
    """Log-spaced offsets between two pixels of a window. Returns: float32 [1, 2 W - 1, 2 W - 1, 2], in [-1, 1]."""
    offsets = np.arange(-(WINDOW - 1), WINDOW, dtype=np.float32)
    table = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1)[None]
    table = table / np.float32(WINDOW - 1) * np.float32(8)
    return np.sign(table) * np.log2(np.abs(table) + np.float32(1)) / np.float32(3)


def relative_positions() -> np.ndarray:
    """For each pair of a window's pixels the row of its offset in the table. Returns: int64 [W^4]."""
    places = np.stack(np.meshgrid(np.arange(WINDOW), np.arange(WINDOW), indexing="ij")).reshape(2, -1)
    offset = places[:, :, None] - places[:, None, :] + WINDOW - 1
    return (offset[0] * (2 * WINDOW - 1) + offset[1]).reshape(-1)


@functools.lru_cache
def shift_mask(height: int, width: int, shift: tuple[int, int]) -> np.ndarray:
    """What shifted windows add to the attention. Returns: float32 [windows, 1, W^2, W^2], zero or `MASKED`."""

    def regions(length: int, step: int) -> np.ndarray:
        places = np.arange(length)
        return (places >= length - WINDOW).astype(int) + (places >= length - step if step else 0)

    region = 3 * regions(height, shift[0])[:, None] + regions(width, shift[1])[None]
    region = region.reshape(height // WINDOW, WINDOW, width // WINDOW, WINDOW)
    region = region.transpose(0, 2, 1, 3).reshape(-1, WINDOW**2)
    return np.where(region[:, None, :, None] == region[:, None, None, :], 0, MASKED).astype(np.float32)


class Attention(nnx.Module):
    """Cosine attention inside windows of 8x8 pixels, cyclically shifted by `shift`, with learned position biases."""

    def __init__(self, width: int, heads: int, shift: int, *, rngs: nnx.Rngs) -> None:
        self.qkv = linear(width, 3 * width, rngs=rngs)
        self.project = linear(width, width, rngs=rngs)
        self.positions1 = linear(2, POSITION_HIDDEN, rngs=rngs)
        self.positions2 = linear(POSITION_HIDDEN, heads, use_bias=False, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.full((heads, 1, 1), math.log(10.0)))
        self.heads, self.shift = heads, shift

    def __call__(self, x: jax.Array) -> jax.Array:
        """Args: x [B, H, W, width]. Returns: the same shape."""
        height, width = x.shape[1:3]
        padded = jnp.pad(x, ((0, 0), (0, -height % WINDOW), (0, -width % WINDOW), (0, 0)))
        # A window that covers the whole image is not shifted.
        shift = tuple(0 if side <= WINDOW else self.shift for side in padded.shape[1:3])
        windows = _windows(jnp.roll(padded, [-step for step in shift], (1, 2)))
        bias = self._position_bias()
        if any(shift):
            bias = bias + jnp.asarray(shift_mask(*padded.shape[1:3], shift), x.dtype)
        attended = _image(self.project(self._attend(windows, bias[None])), padded.shape)
        return jnp.roll(attended, shift, (1, 2))[:, :height, :width]

    def _position_bias(self) -> jax.Array:
        """Float [1, heads, W^2, W^2]."""
        table = jnp.asarray(relative_coordinates(), self.logit_scale.dtype)
        scores = self.positions2(nnx.relu(self.positions1(table))).reshape(-1, self.heads)
        pairs = scores[relative_positions()].reshape(WINDOW**2, WINDOW**2, self.heads)
        return POSITION_SCALE * nnx.sigmoid(jnp.transpose(pairs, (2, 0, 1)))[None]

    def _attend(self, windows: jax.Array, bias: jax.Array) -> jax.Array:
        """Args: windows [B, windows, W^2, width]; bias [1, windows or 1, heads, W^2, W^2]. Returns: as windows."""
        # Keys have no bias, although the layer holds one.
        assert self.qkv.bias is not None
        used = self.qkv.bias[...] * jnp.asarray(np.repeat((1, 0, 1), windows.shape[-1]), windows.dtype)
        qkv = jnp.einsum("bwnc,cd->bwnd", windows, self.qkv.kernel[...]) + used[None, None, None]
        query, key, value = jnp.split(qkv.reshape(*windows.shape[:3], 3 * self.heads, -1), 3, axis=3)
        scale = jnp.exp(jnp.minimum(self.logit_scale[...], LARGEST_SCALE))[None, None]
        logits = jnp.einsum("bwqhd,bwkhd->bwhqk", l2_normalize(query), l2_normalize(key))
        weights = jax.nn.softmax(logits * scale + bias)
        return jnp.einsum("bwhqk,bwkhd->bwqhd", weights, value).reshape(windows.shape)


def _windows(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, windows, WINDOW^2, C]."""
    batch, height, width, channels = x.shape
    tiles = x.reshape(batch, height // WINDOW, WINDOW, width // WINDOW, WINDOW, channels)
    return jnp.swapaxes(tiles, 2, 3).reshape(batch, -1, WINDOW**2, channels)


def _image(windows: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Inverse of `_windows`."""
    batch, height, width, channels = shape
    tiles = windows.reshape(batch, height // WINDOW, width // WINDOW, WINDOW, WINDOW, channels)
    return jnp.swapaxes(tiles, 2, 3).reshape(shape)


class Block(nnx.Module):
    """`x += norm(attention x)`, then `x += norm(mlp x)`."""

    def __init__(self, width: int, heads: int, place: int, *, rngs: nnx.Rngs) -> None:
        # Every second block of a stage is shifted; all stages have even numbers of blocks.
        self.attention = Attention(width, heads, WINDOW // 2 if place % 2 else 0, rngs=rngs)
        self.norm1, self.norm2 = LayerNorm((width,), rngs=rngs), LayerNorm((width,), rngs=rngs)
        self.expand = linear(width, MLP_RATIO * width, rngs=rngs)
        self.project = linear(MLP_RATIO * width, width, rngs=rngs)
        self.drop_rate, self.place = STOCHASTIC_DEPTH * place / (BLOCKS - 1), place

    def __call__(self, x: jax.Array, *, key: jax.Array | None) -> jax.Array:
        """Args: x [B, H, W, width]. Returns: the same shape."""
        x = x + stochastic_depth(self.norm1(self.attention(x)), self.drop_rate, key, 2 * self.place)
        hidden = nnx.gelu(self.expand(x), approximate=False)
        return x + stochastic_depth(self.norm2(self.project(hidden)), self.drop_rate, key, 2 * self.place + 1)


class Merge(nnx.Module):
    """Four neighbouring pixels become one of twice the width."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.reduce = linear(4 * width, 2 * width, use_bias=False, rngs=rngs)
        self.norm = LayerNorm((2 * width,), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Args: x [B, H, W, width]. Returns: [B, ceil(H / 2), ceil(W / 2), 2 width]."""
        x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.norm(self.reduce(jnp.concatenate(corners, axis=3)))


class SwinV2(Classifier):
    """Swin-V2-T; images [B, H, W, channels] of any side from 4 -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        first, last, places = STAGES[0][0], STAGES[-1][0], itertools.count()
        self.stem = ConvNorm(conv(channels, first, PATCH, strides=PATCH, rngs=rngs), LayerNorm((first,), rngs=rngs))
        self.stages = nnx.List(
            nnx.List(Block(width, heads, next(places), rngs=rngs) for _ in range(count))
            for width, count, heads in STAGES
        )
        self.merges = nnx.List(Merge(width, rngs=rngs) for width, _, _ in STAGES[:-1])
        self.norm = LayerNorm((last,), rngs=rngs)
        self.head = linear(last, num_classes, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem, every stage and every merge between them. Args: images [B, H, W, channels]."""
        return stage_outputs(self.stem(images, train=train), self.stages, between=self.merges, key=key)

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.head(jnp.mean(self.norm(x), axis=(1, 2)))
