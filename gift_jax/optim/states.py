"""What optimizers carry from step to step: a rate, a restart, and arrays and random keys of their own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class RateState(NamedTuple):
    """State of `with_rate`: the learning rate, and the inner transformation's state."""

    rate: jax.Array
    inner: optax.OptState


def with_rate(
    make_inner: Callable[[Any], optax.GradientTransformation], learning_rate: float
) -> optax.GradientTransformationExtraArgs:
    """Keep the learning rate in the state, so that runs that differ in it alone share one compilation.

    Args: make_inner, of the rate, a number or a traced one.
    """

    def init(params: optax.Params) -> RateState:
        return RateState(jnp.float32(learning_rate), make_inner(learning_rate).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, RateState]:
        inner = optax.with_extra_args_support(make_inner(state.rate))
        updates, changed = inner.update(updates, state.inner, params, **extra)
        return updates, RateState(state.rate, changed)

    return optax.GradientTransformationExtraArgs(init, update)


class RestartState(NamedTuple):
    """State of `restarting`: how many steps are done, and the inner transformation's state."""

    done: jax.Array
    inner: optax.OptState


def restarting(inner: optax.GradientTransformation, steps: tuple[int, ...]) -> optax.GradientTransformationExtraArgs:
    """Give inner its initial state again before each of these steps, as if a new optimizer were made there.

    Random keys go on, so that nothing is drawn twice.
    """
    extended = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> RestartState:
        return RestartState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, RestartState]:
        due = jnp.isin(state.done, jnp.asarray(steps, jnp.int32))
        fresh = inner.init(updates if params is None else params)
        current = jax.tree.map(lambda new, old: old if is_key(old) else jnp.where(due, new, old), fresh, state.inner)
        updates, current = extended.update(updates, current, params, **extra)
        return updates, RestartState(state.done + 1, current)

    return optax.GradientTransformationExtraArgs(init, update)


class AverageState(NamedTuple):
    """State of `averaging`: the moving average of the parameters, and the inner transformation's state."""

    average: Any
    inner: optax.OptState


def averaging(inner: optax.GradientTransformation, decay: float) -> optax.GradientTransformationExtraArgs:
    """Keep a moving average of the parameters beside them: decay times the old one and the rest of each new value.

    It starts at the initial parameters, and inner is not changed by it.
    """
    extended = optax.with_extra_args_support(inner)

    def init(params: optax.Params) -> AverageState:
        return AverageState(params, inner.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, AverageState]:
        updates, changed = extended.update(updates, state.inner, params, **extra)
        moved = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.average, moved)
        return updates, AverageState(average, changed)

    return optax.GradientTransformationExtraArgs(init, update)


def copy_and_rekey_state(state: optax.OptState, key: jax.Array) -> optax.OptState:
    """A fresh state whose arrays are nobody else's, and whose random keys are of this run.

    optax keeps the initial parameters themselves in some states, and they could not be donated beside the parameters;
    its random keys are constants, the same for every seed.
    """
    return jax.tree.map(lambda leaf: jax.random.fold_in(key, 1) if is_key(leaf) else jnp.copy(leaf), state)


def is_key(leaf: Any) -> bool:
    """Whether it is an array of random keys."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
