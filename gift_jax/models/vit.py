"""ViT-B/16, as torchvision builds it. Reference: torchvision `models/vision_transformer.py`."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.errors import GiftError
from gift_jax.models.layers import Classifier, conv, linear, normal_init, zeros
from gift_jax.models.norms import LayerNorm

PATCH, WIDTH, HEADS, DEPTH, HIDDEN = 16, 768, 12, 12, 3072
EPSILON = 1e-6

norm = functools.partial(LayerNorm, (WIDTH,), epsilon=EPSILON)
_xavier = nnx.initializers.xavier_uniform()


# Both are computed again for the gradient: their inner arrays would be a third of a training step's memory.
@jax.checkpoint
def _attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """Args and result: [B, N, HEADS, WIDTH / HEADS]."""
    # Not `jax.nn.dot_product_attention`: in another dtype than float32 it breaks strict promotion.
    logits = jnp.einsum("bqhd,bkhd->bhqk", query * query.shape[-1] ** -0.5, key)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(logits), value)


@jax.checkpoint
def _gelu(x: jax.Array) -> jax.Array:
    return nnx.gelu(x, approximate=False)


class Block(nnx.Module):
    """`x += attention(norm x)`, then `x += mlp(norm x)`."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = norm(rngs=rngs), norm(rngs=rngs)
        self.qkv = linear(WIDTH, 3 * WIDTH, kernel_init=_xavier, bias_init=zeros, rngs=rngs)
        self.out = linear(WIDTH, WIDTH, bias_init=zeros, rngs=rngs)
        self.expand = linear(WIDTH, HIDDEN, kernel_init=_xavier, bias_init=normal_init(1e-6), rngs=rngs)
        self.project = linear(HIDDEN, WIDTH, kernel_init=_xavier, bias_init=normal_init(1e-6), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Args: tokens x [B, N, WIDTH]. Returns: the same shape."""
        heads = self.qkv(self.norm1(x)).reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)
        x = x + self.out(_attend(heads[:, :, 0], heads[:, :, 1], heads[:, :, 2]).reshape(x.shape))
        return x + self.project(_gelu(self.expand(self.norm2(x))))


class ViT(Classifier):
    """ViT-B/16; images [B, image_size, image_size, channels], a multiple of 16 -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        if image_size % PATCH:
            raise GiftError(f"vit_b_16 takes images of a multiple of {PATCH} pixels, not {image_size}; resize them")
        tokens = (image_size // PATCH) ** 2 + 1
        # torch's trunc_normal_ cuts at +-2, far beyond this deviation: a normal.
        patch_init = normal_init((channels * PATCH**2) ** -0.5)
        self.patches = conv(channels, WIDTH, PATCH, strides=PATCH, kernel_init=patch_init, bias_init=zeros, rngs=rngs)
        self.class_token = nnx.Param(jnp.zeros((1, 1, WIDTH)))
        self.positions = nnx.Param(normal_init(0.02)(rngs.params(), (1, tokens, WIDTH)))
        self.blocks = nnx.List(Block(rngs=rngs) for _ in range(DEPTH))
        self.norm = norm(rngs=rngs)
        self.head = linear(WIDTH, num_classes, kernel_init=zeros, bias_init=zeros, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The tokens [B, N, WIDTH] that enter the blocks and leave each. Args: images [B, H, W, channels]."""
        patches = self.patches(images).reshape(len(images), -1, WIDTH)
        first = jnp.broadcast_to(self.class_token[...], (len(images), 1, WIDTH))
        outputs = [jnp.concatenate([first, patches], axis=1) + self.positions[...]]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.head(self.norm(x[:, 0]))  # torchvision's dropout rates are zero
