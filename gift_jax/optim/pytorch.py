"""SGD, Adam and AdamW, with PyTorch's weight decay and its bias corrections."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import optax

from gift_jax.optim.settings import Optimizer


def decayed(params: optax.Params) -> optax.Params:
    """Which arrays are decayed if vectors are spared."""
    return jax.tree.map(lambda array: array.ndim > 1, params)


def mask(optimizer: Optimizer) -> Callable[[optax.Params], optax.Params] | None:
    """The arrays that an optimizer decays, None for all."""
    return None if optimizer.decay_vectors else decayed


def coupled(optimizer: Optimizer, inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Add the weight decay to the gradient, as PyTorch does."""
    return optax.chain(optax.add_decayed_weights(optimizer.weight_decay, mask(optimizer)), inner)


def sgd(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """`torch.optim.SGD`."""
    momentum = optimizer.momentum or None
    return coupled(optimizer, optax.sgd(schedule, momentum, optimizer.nesterov))


def scale_by_adam(betas: tuple[float, float], epsilon: float) -> optax.GradientTransformation:
    """Adam's direction, `m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)`, with exact bias corrections.

    `optax.scale_by_adam` takes `1 - b2^t` in float32, which cancels to 3e-5 relative in the first steps;
    PyTorch takes it in double precision. With expm1, the losses of thirty float32 steps stray 10 to 20 times less.
    """

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, optax.ScaleByAdamState)
        count = state.count + 1
        first, second = (-jnp.expm1(count * math.log(beta)) for beta in betas)
        mu = jax.tree.map(lambda m, g: betas[0] * m + (1 - betas[0]) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: betas[1] * v + (1 - betas[1]) * g * g, state.nu, updates)
        direction = jax.tree.map(lambda m, v: m / first / (jnp.sqrt(v / second) + epsilon), mu, nu)
        return direction, optax.ScaleByAdamState(count, mu, nu)

    # Counts and moments start as optax has them: zeros of the parameters' dtypes.
    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def adam(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """`torch.optim.Adam`."""
    direction = scale_by_adam(optimizer.betas, optimizer.epsilon)
    return coupled(optimizer, optax.chain(direction, optax.scale_by_learning_rate(schedule)))


def adamw(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """`torch.optim.AdamW`."""
    direction = scale_by_adam(optimizer.betas, optimizer.epsilon)
    decay = optax.add_decayed_weights(optimizer.weight_decay, mask(optimizer))
    return optax.chain(direction, decay, optax.scale_by_learning_rate(schedule))


OPTIMIZERS: Mapping[str, Callable[[Optimizer, optax.Schedule], optax.GradientTransformation]] = MappingProxyType(
    {"sgd": sgd, "adam": adam, "adamw": adamw}
)
