"""Layers with PyTorch's numbers: initial distributions and explicit paddings, NHWC and HWIO throughout."""

import jax
import jax.numpy as jnp
from flax import nnx

from gift_jax.models.convolution import convolve

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
        conv_general_dilated=convolve,
        rngs=rngs,
    )


def linear(
    in_features: int,
    out_features: int,
    *,
    rngs: nnx.Rngs,
    bias: bool = True,
    kernel_init: nnx.Initializer = torch_kernel_init,
    bias_init: nnx.Initializer | None = None,
) -> nnx.Linear:
    """Affine map as `torch.nn.Linear` makes it. Kernel [in, out]."""
    return nnx.Linear(
        in_features,
        out_features,
        use_bias=bias,
        kernel_init=kernel_init,
        bias_init=bias_init or torch_bias_init(in_features),
        rngs=rngs,
    )


def row(vector: jax.Array) -> jax.Array:
    """A vector [C] that broadcasts over images [B, H, W, C], as [1, 1, 1, C]."""
    return vector[None, None, None, :]


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
