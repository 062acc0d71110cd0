"""Layers with PyTorch's numbers: initial distributions, explicit paddings, BatchNorm statistics.

NHWC and HWIO throughout. A layer that differs between training and inference takes `train` at the call; a
BatchNorm in training writes its new running statistics into the module, which `models.Model.apply` returns.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

# torch's kaiming_normal_(mode="fan_out", nonlinearity="relu").
kaiming_normal = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


def normal_init(std: float) -> nnx.Initializer:
    """Normal with mean 0: `torch.nn.init.normal_(std=std)`."""
    return nnx.initializers.normal(std)


# variance_scaling's uniform bound is sqrt(3 scale / fan_in); torch's default is sqrt(1 / fan_in).
torch_kernel_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias_init(fan_in: int) -> nnx.Initializer:
    """Uniform in +-1/sqrt(fan_in): what torch's Conv2d and Linear draw biases from."""
    bound = fan_in**-0.5

    def init(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    rngs: nnx.Rngs,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    bias: bool = True,
    kernel_init: nnx.Initializer = torch_kernel_init,
    bias_init: nnx.Initializer | None = None,
) -> nnx.Conv:
    """Square convolution as `torch.nn.Conv2d` makes it. Kernel HWIO; padding in pixels on every side."""
    return nnx.Conv(
        in_channels,
        out_channels,
        (kernel, kernel),
        strides=stride,
        padding=((padding, padding), (padding, padding)),
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=kernel_init,
        bias_init=bias_init or torch_bias_init(in_channels // groups * kernel**2),
        rngs=rngs,
    )


def linear(
    in_features: int,
    out_features: int,
    *,
    rngs: nnx.Rngs,
    kernel_init: nnx.Initializer = torch_kernel_init,
    bias_init: nnx.Initializer | None = None,
) -> nnx.Linear:
    """Affine map as `torch.nn.Linear` makes it. Kernel [in, out]."""
    return nnx.Linear(
        in_features,
        out_features,
        kernel_init=kernel_init,
        bias_init=bias_init or torch_bias_init(in_features),
        rngs=rngs,
    )


def _standardize(x: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float) -> jax.Array:
    return (x - mean) * jax.lax.rsqrt(variance + epsilon)


class BatchNorm(nnx.Module):
    """Batch normalisation as `torch.nn.BatchNorm2d`: `scale (x - mean) / sqrt(var + eps) + bias`.

    In training the batch's biased variance normalises and the unbiased one, `n / (n - 1)` of it, enters the
    running variance, which is 0.1 new and 0.9 old (Flax keeps the biased one and weighs it 0.01).
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs, epsilon: float = 1e-5, momentum: float = 0.9) -> None:
        self.scale = nnx.Param(nnx.initializers.ones(rngs.params(), (channels,)))
        self.bias = nnx.Param(nnx.initializers.zeros(rngs.params(), (channels,)))
        self.mean = nnx.BatchStat(jnp.zeros((channels,)))
        self.var = nnx.BatchStat(jnp.ones((channels,)))
        self.epsilon, self.momentum = epsilon, momentum

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x [B, H, W, C]."""
        if train:
            mean = jnp.mean(x, axis=(0, 1, 2))
            var = jnp.mean(jnp.square(x - _row(mean)), axis=(0, 1, 2))
            count = x.size // x.shape[-1]
            self._track(mean, var * (count / max(count - 1, 1)))
        else:
            mean, var = self.mean[...], self.var[...]
        normal = _standardize(x, _row(mean), _row(var), self.epsilon)
        return normal * _row(self.scale[...]) + _row(self.bias[...])

    def _track(self, mean: jax.Array, var: jax.Array) -> None:
        for running, new in ((self.mean, mean), (self.var, var)):
            running[...] = self.momentum * running[...] + (1 - self.momentum) * jax.lax.stop_gradient(new)

    def folded(self) -> tuple[jax.Array, jax.Array]:
        """The affine map `a x + b` that inference applies. Returns: a, b, float [C]."""
        a = self.scale[...] * jax.lax.rsqrt(self.var[...] + self.epsilon)
        return a, self.bias[...] - a * self.mean[...]


def _row(vector: jax.Array) -> jax.Array:
    return vector[None, None, None, :]


class GroupNorm(nnx.Module):
    """Group normalisation as `torch.nn.GroupNorm`; one channel a group is the InstanceNorm of DC and DATM."""

    def __init__(self, channels: int, groups: int, *, rngs: nnx.Rngs, epsilon: float = 1e-5) -> None:
        self.scale = nnx.Param(nnx.initializers.ones(rngs.params(), (channels,)))
        self.bias = nnx.Param(nnx.initializers.zeros(rngs.params(), (channels,)))
        self.groups, self.epsilon = groups, epsilon

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x [B, H, W, C]."""
        del train
        grouped = x.reshape(*x.shape[:3], self.groups, -1)
        mean = jnp.mean(grouped, axis=(1, 2, 4), keepdims=True)
        var = jnp.mean(jnp.square(grouped - mean), axis=(1, 2, 4), keepdims=True)
        normal = _standardize(grouped, mean, var, self.epsilon).reshape(x.shape)
        return normal * _row(self.scale[...]) + _row(self.bias[...])


class LayerNorm(nnx.Module):
    """Normalisation over each whole image, as DC's `torch.nn.LayerNorm([C, H, W])`; scale and bias [H, W, C]."""

    def __init__(self, shape: tuple[int, int, int], *, rngs: nnx.Rngs, epsilon: float = 1e-5) -> None:
        self.scale = nnx.Param(nnx.initializers.ones(rngs.params(), shape))
        self.bias = nnx.Param(nnx.initializers.zeros(rngs.params(), shape))
        self.epsilon = epsilon

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x [B, H, W, C]."""
        del train
        mean = jnp.mean(x, axis=(1, 2, 3), keepdims=True)
        var = jnp.mean(jnp.square(x - mean), axis=(1, 2, 3), keepdims=True)
        return _standardize(x, mean, var, self.epsilon) * self.scale[...][None] + self.bias[...][None]


class Identity(nnx.Module):
    """No normalisation."""

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Return x."""
        del train
        return x


class ConvNorm(nnx.Module):
    """A convolution and the normalisation behind it: the unit that folding rewrites."""

    def __init__(self, conv: nnx.Conv, norm: nnx.Module) -> None:
        self.conv, self.norm = conv, norm

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Convolve and normalise x [B, H, W, C_in] -> [B, H', W', C_out]."""
        norm: Callable[..., jax.Array] = self.norm  # pyright: ignore[reportAssignmentType]
        return norm(self.conv(x), train=train)


def fold_batch_norm(model: nnx.Module) -> None:
    """Fold every inference-mode BatchNorm into the convolution before it, in place.

    `a (k * x + c) + b = (a k) * x + (a c + b)`: one pass over the activations less, for frozen teachers.
    """
    for _, module in nnx.iter_modules(model):
        if isinstance(module, ConvNorm) and isinstance(module.norm, BatchNorm):
            a, b = module.norm.folded()
            module.conv.kernel[...] = module.conv.kernel[...] * _row(a)
            old = module.conv.bias[...] if module.conv.bias is not None else jnp.zeros_like(b)
            module.conv.bias = nnx.Param(a * old + b)
            module.conv.use_bias = True
            module.norm = Identity()


def avg_pool(x: jax.Array, window: int) -> jax.Array:
    """Non-overlapping mean over window x window pixels, the remainder dropped, as `torch.nn.AvgPool2d`.

    A reshape and a mean rather than `nnx.avg_pool`: its gradient is a broadcast, not a dilated window sum.
    """
    batch, height, width, channels = x.shape
    rows, columns = height // window, width // window
    cut = x[:, : rows * window, : columns * window]
    return jnp.mean(cut.reshape(batch, rows, window, columns, window, channels), axis=(2, 4))


def max_pool(x: jax.Array, window: int, *, stride: int, padding: int = 0) -> jax.Array:
    """Maximum over window x window pixels, padding never the maximum, as `torch.nn.MaxPool2d`."""
    border = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    strides, windows = (1, stride, stride, 1), (1, window, window, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, windows, strides, border)


def adaptive_avg_pool(x: jax.Array, size: int) -> jax.Array:
    """Mean over size x size nearly equal windows, as `torch.nn.AdaptiveAvgPool2d`: x [B, H, W, C] of any side.

    Window i covers pixels floor(i H / size) to ceil((i + 1) H / size) - 1; windows may overlap.
    """
    rows, columns = (_window_means(length, size, x.dtype) for length in x.shape[1:3])
    tall = jnp.einsum("ih,bhwc->biwc", rows, x, precision="highest")
    return jnp.einsum("jw,biwc->bijc", columns, tall, precision="highest")


def _window_means(length: int, size: int, dtype: jnp.dtype) -> jax.Array:
    windows = np.zeros((size, length))
    for i in range(size):
        windows[i, i * length // size : -(-(i + 1) * length // size)] = 1
    return jnp.asarray(windows / windows.sum(axis=1, keepdims=True), dtype)


def dropout(x: jax.Array, rate: float, key: jax.Array | None, place: int) -> jax.Array:
    """Zero a share `rate` of x and scale the rest by `1 / (1 - rate)`; the identity without a key.

    place tells the uses of one key in a network apart.
    """
    if key is None:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, place), 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))
