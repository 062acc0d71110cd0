"""Layers with PyTorch's numbers: initial distributions and explicit paddings, NHWC and HWIO throughout."""

from collections.abc import Iterable
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


def stage_outputs(x: jax.Array, stages: Any, between: Any, key: jax.Array | None) -> list[jax.Array]:
    """What goes into the first stage, and the outputs of every stage of blocks and of every layer between them."""
    outputs, place = [x], 0
    for number, stage in enumerate(stages):
        if number:
            x = between[number - 1](x)
            outputs.append(x)
        for block in stage:
            x, place = block(x, key=key, place=place), place + 1
        outputs.append(x)
    return outputs


def through_stages(x: jax.Array, stages: Iterable[nnx.List], *, train: bool) -> list[jax.Array]:
    """What goes into the first stage of blocks, and the output of every stage. Args: x [B, H, W, C]."""
    outputs = [x]
    for stage in stages:
        for block in stage:
            x = block(x, train=train)
        outputs.append(x)
    return outputs


def dropout(x: jax.Array, rate: float, key: jax.Array | None, place: int) -> jax.Array:
    """Zero a share `rate` of x and scale the rest by `1 / (1 - rate)`; the identity without a key.

    place tells the uses of one key in a network apart.
    """
    return _dropped(x, rate, key, place, x.shape)


def stochastic_depth(x: jax.Array, rate: float, key: jax.Array | None, place: int) -> jax.Array:
    """Dropout of whole images of a residual branch x [B, ...]: torchvision's `StochasticDepth(mode="row")`."""
    return _dropped(x, rate, key, place, (len(x),) + (1,) * (x.ndim - 1))


def _dropped(x: jax.Array, rate: float, key: jax.Array | None, place: int, shape: tuple[int, ...]) -> jax.Array:
    if key is None:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, place), 1 - rate, shape)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))
