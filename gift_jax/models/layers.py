"""Layers with PyTorch's numbers: initial distributions and explicit paddings, NHWC and HWIO throughout."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.models.convolution import convolve

# torch's kaiming_normal_(mode="fan_out", nonlinearity="relu").
kaiming_normal = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
zeros = nnx.initializers.zeros
normal_init = nnx.initializers.normal  # `torch.nn.init.normal_(std=...)`
# variance_scaling's uniform bound is sqrt(3 scale / fan_in); torch's default is sqrt(1 / fan_in).
torch_kernel_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias_init(fan_in: int) -> nnx.Initializer:
    """Uniform in +-1/sqrt(fan_in): what torch's Conv2d and Linear draw biases from."""
    bound = fan_in**-0.5
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


def conv(
    inputs: int, outputs: int, kernel: int, *, rngs: nnx.Rngs, padding: int = 0, groups: int = 1, **options: Any
) -> nnx.Conv:
    """Square convolution as `torch.nn.Conv2d` makes it, of kernel HWIO. Padding is in pixels on every side.

    Args: options, of `nnx.Conv`.
    """
    usual = {"kernel_init": torch_kernel_init, "bias_init": torch_bias_init(inputs // groups * kernel**2)}
    fixed = {"padding": ((padding, padding),) * 2, "feature_group_count": groups, "conv_general_dilated": convolve}
    return nnx.Conv(inputs, outputs, (kernel, kernel), **{**usual, **fixed, **options}, rngs=rngs)


def linear(inputs: int, outputs: int, *, rngs: nnx.Rngs, **options: Any) -> nnx.Linear:
    """Affine map as `torch.nn.Linear` makes it, of kernel [in, out]. Args: options, of `nnx.Linear`."""
    usual = {"kernel_init": torch_kernel_init, "bias_init": torch_bias_init(inputs)}
    return nnx.Linear(inputs, outputs, **{**usual, **options}, rngs=rngs)


def row(vector: jax.Array) -> jax.Array:
    """A vector [C] that broadcasts over images [B, H, W, C], as [1, 1, 1, C]."""
    return vector[None, None, None, :]


class Classifier(nnx.Module):
    """A network that classifies the last of its features: their mean over the image, by the layer `fc`, by default."""

    fc: nnx.Linear

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """Intermediate outputs, that of the last layer before the classifier included."""
        raise NotImplementedError

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return self.fc(jnp.mean(x, axis=(1, 2)))

    def __call__(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> jax.Array:
        """Classify images [B, H, W, channels], normalised. Returns: logits [B, num_classes]."""
        return self._classify(self.features(images, train=train, key=key)[-1], key)


def stage_outputs(
    x: jax.Array, stages: Iterable[Iterable[Any]], *, between: Sequence[Any] = (), **options: Any
) -> list[jax.Array]:
    """What goes into the first stage, and the outputs of every stage and of every layer between two.

    Args: x [B, H, W, C]; options, of all blocks.
    """
    outputs = [x]
    for number, stage in enumerate(stages):
        if number and between:
            outputs.append(between[number - 1](outputs[-1]))
        x = outputs[-1]
        for block in stage:
            x = block(x, **options)
        outputs.append(x)
    return outputs


def dropout(
    x: jax.Array, rate: float, key: jax.Array | None, place: int, *, shape: tuple[int, ...] | None = None
) -> jax.Array:
    """Zero a share `rate` of x and scale the rest by `1 / (1 - rate)`; the identity without a key.

    place tells the uses of one key in a network apart; shape is that of the draws, x's by default.
    """
    if key is None:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, place), 1 - rate, shape or x.shape)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))


def stochastic_depth(x: jax.Array, rate: float, key: jax.Array | None, place: int) -> jax.Array:
    """Dropout of whole images of a residual branch x [B, ...]: torchvision's `StochasticDepth(mode="row")`."""
    return dropout(x, rate, key, place, shape=(len(x),) + (1,) * (x.ndim - 1))
