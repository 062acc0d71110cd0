"""Normalisations with PyTorch's numbers, and folding BatchNorm away for inference.

Each is called with `train`; a BatchNorm in training writes its new running statistics into the module, which
`models.Model.apply` returns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gift_jax.errors import GiftError
from gift_jax.models.fused import PIXELS, Normalised, normalise, normalise_relu_pool
from gift_jax.models.layers import conv, kaiming_normal, row
from gift_jax.models.pooling import avg_pool

MOMENTUM = 0.9  # of running statistics


def _standardize(x: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float) -> jax.Array:
    return (x - mean) * jax.lax.rsqrt(variance + epsilon)


class Norm(nnx.Module):
    """Scale and bias of a shape, which keep their own precision where a network's arithmetic has less."""

    def __init__(self, shape: tuple[int, ...], *, rngs: nnx.Rngs, epsilon: float = 1e-5) -> None:
        self.scale = nnx.Param(nnx.initializers.ones(rngs.params(), shape))
        self.bias = nnx.Param(nnx.initializers.zeros(rngs.params(), shape))
        self.epsilon = epsilon

    def _by_channel(self, normal: jax.Array, dtype: jnp.dtype) -> jax.Array:
        return (normal * row(self.scale[...]) + row(self.bias[...])).astype(dtype)


def _check_values(count: int, whose: str) -> None:
    if count == 1:  # its own mean: the result would be the bias, whatever the image
        raise GiftError(
            f"{whose} would normalise single values by themselves: its feature map is one pixel here; train on larger "
            "images or with another network, and BatchNorm on batches of two images or more, the last one too"
        )


class BatchNorm(Norm):
    """Batch normalisation as `torch.nn.BatchNorm2d`: `scale (x - mean) / sqrt(var + eps) + bias`.

    In training the batch's biased variance normalises and the unbiased one, `n / (n - 1)` of it, enters the
    running variance, which is 0.1 new and 0.9 old (Flax keeps the biased one and weighs it 0.01).
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        super().__init__((channels,), rngs=rngs)
        self.mean = nnx.BatchStat(jnp.zeros((channels,)))
        self.var = nnx.BatchStat(jnp.ones((channels,)))

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x [B, H, W, C], in the statistics' precision."""
        if train:
            return self.by_own_statistics(normalise, x)
        normal = _standardize(x.astype(self.mean.dtype), row(self.mean[...]), row(self.var[...]), self.epsilon)
        return self._by_channel(normal, x.dtype)

    def by_own_statistics(self, function: Callable[..., Normalised], x: jax.Array) -> jax.Array:
        """Apply `normalise` or `normalise_relu_pool` to a batch x [B, H, W, C], whose statistics are tracked."""
        count = x.size // x.shape[-1]
        _check_values(count, "BatchNorm")
        single = x.astype(self.mean.dtype)
        y, mean, var = function(single, self.scale[...], self.bias[...], PIXELS, self.epsilon)
        for running, new in ((self.mean, mean), (self.var, var * (count / (count - 1)))):
            running[...] = MOMENTUM * running[...] + (1 - MOMENTUM) * new.reshape(-1)
        return y.astype(x.dtype)

    def folded(self) -> tuple[np.ndarray, np.ndarray]:
        """The affine map `a x + b` that inference applies. Returns: a, b, float [C]."""
        scale, bias, mean, var = (np.asarray(x[...]) for x in (self.scale, self.bias, self.mean, self.var))
        a = scale / np.sqrt(var + np.asarray(self.epsilon, var.dtype))
        return a, bias - a * mean


class GroupNorm(Norm):
    """Group normalisation as `torch.nn.GroupNorm`; one channel a group is the InstanceNorm of DC and DATM."""

    def __init__(self, channels: int, groups: int, *, rngs: nnx.Rngs) -> None:
        super().__init__((channels,), rngs=rngs)
        self.groups = groups

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x [B, H, W, C], in the weights' precision."""
        if self.groups == x.shape[-1]:
            return self.by_own_statistics(normalise, x)
        _check_values(x.size // (len(x) * self.groups), "GroupNorm")
        grouped = x.astype(self.scale.dtype).reshape(*x.shape[:3], self.groups, -1)
        mean = jnp.mean(grouped, axis=(1, 2, 4), keepdims=True)
        var = jnp.mean(jnp.square(grouped - mean), axis=(1, 2, 4), keepdims=True)
        normal = _standardize(grouped, mean, var, self.epsilon).reshape(x.shape)
        return self._by_channel(normal, x.dtype)

    def by_own_statistics(self, function: Callable[..., Normalised], x: jax.Array) -> jax.Array:
        """Apply `normalise` or `normalise_relu_pool` to images x [B, H, W, C], where each channel is a group."""
        _check_values(x.shape[1] * x.shape[2], "InstanceNorm")
        single = x.astype(self.scale.dtype)
        return function(single, self.scale[...], self.bias[...], (1, 2), self.epsilon)[0].astype(x.dtype)


class LayerNorm(Norm):
    """Normalisation over the last axes, those of `shape`, as `torch.nn.LayerNorm`; scale and bias of that shape.

    Transformers and ConvNeXt normalise channels, (C,); DC's ConvNet whole images, (H, W, C).
    """

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Normalise x [..., *shape], in the weights' precision."""
        dtype, x = x.dtype, x.astype(self.scale.dtype)
        axes = tuple(range(-self.scale.ndim, 0))
        mean = jnp.mean(x, axis=axes, keepdims=True)
        var = jnp.mean(jnp.square(x - mean), axis=axes, keepdims=True)
        scale, bias = (jnp.expand_dims(p[...], tuple(range(x.ndim - p.ndim))) for p in (self.scale, self.bias))
        return (_standardize(x, mean, var, self.epsilon) * scale + bias).astype(dtype)


class Identity(nnx.Module):
    """No normalisation."""

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Return x."""
        return x


# (channels, side of the feature map) -> module
NORMS: Mapping[str, Callable[[int, int, nnx.Rngs], nnx.Module]] = {
    "batch": lambda channels, side, rngs: BatchNorm(channels, rngs=rngs),
    "instance": lambda channels, side, rngs: GroupNorm(channels, channels, rngs=rngs),
    "group": lambda channels, side, rngs: GroupNorm(channels, 4, rngs=rngs),
    "layer": lambda channels, side, rngs: LayerNorm((side, side, channels), rngs=rngs),
    "none": lambda channels, side, rngs: Identity(),
}


class ConvNorm(nnx.Module):
    """A convolution and the normalisation behind it: the unit that folding rewrites."""

    def __init__(self, conv: nnx.Conv, norm: Any) -> None:
        self.conv, self.norm = conv, norm

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Convolve and normalise x [B, H, W, C_in] -> [B, H', W', C_out]."""
        return self.norm(self.conv(x), train=train)


def norm_relu_pool(norm: Any, x: jax.Array, *, train: bool) -> jax.Array:
    """Normalise x [B, H, W, C], then ReLU and 2x2 mean pooling; as one function where there is one."""
    if (isinstance(norm, BatchNorm) and train) or (isinstance(norm, GroupNorm) and norm.groups == x.shape[-1]):
        return norm.by_own_statistics(normalise_relu_pool, x)
    return avg_pool(nnx.relu(norm(x, train=train)), 2)


def conv_norm(
    inputs: int, outputs: int, kernel: int, *, rngs: nnx.Rngs, norm: str = "batch", **options: Any
) -> ConvNorm:
    """A convolution without bias, padded by half its kernel, and a norm of `NORMS`, any but that of whole images.

    Args: options, of `layers.conv`.
    """
    options = {"kernel_init": kaiming_normal, **options}
    convolution = conv(inputs, outputs, kernel, padding=kernel // 2, use_bias=False, rngs=rngs, **options)
    return ConvNorm(convolution, NORMS[norm](outputs, 0, rngs))


def fold_batch_norm(model: nnx.Module) -> None:
    """Fold every inference-mode BatchNorm into the convolution before it, in place.

    `a (k * x + c) + b = (a k) * x + (a c + b)`: one pass over the activations less, for frozen teachers.
    """
    # In NumPy, on the host: JAX would compile an operation for every layer's shape.
    for _, module in nnx.iter_modules(model):
        if isinstance(module, ConvNorm) and isinstance(module.norm, BatchNorm):
            a, b = module.norm.folded()
            module.conv.kernel = nnx.Param(jnp.asarray(np.asarray(module.conv.kernel[...]) * a))
            if module.conv.bias is not None:
                b = a * np.asarray(module.conv.bias[...]) + b
            module.conv.bias = nnx.Param(jnp.asarray(b))
            module.conv.use_bias = True
            module.norm = Identity()
