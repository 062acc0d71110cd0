"""Optimizers with PyTorch's weight-decay semantics, and learning-rate schedules by epoch; all from optax."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from gift_jax.errors import GiftError

OptionValue = int | float | bool | str


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning rate over epochs, stepped once an epoch as PyTorch's schedulers are.

    name: `multistep` (times gamma at each milestone), `cosine` (to final times the rate) or `constant`. stretch is
    how many times as long as the run the cosine is (2: it ends half-way, as RDED's).
    milestones are fractions of the epochs, rounded down: the official [2E//3, 5E//6]. With restart the optimizer
    starts anew at each, without momentum. For the first warmup_epochs the rate rises linearly to the whole, from the
    share warmup_start of it (None: from one step).
    Reference: `torch.optim.lr_scheduler` MultiStepLR, CosineAnnealingLR and LinearLR.
    """

    name: str = "multistep"
    milestones: tuple[tuple[int, int], ...] = ((2, 3), (5, 6))
    gamma: float = 0.2
    final: float = 0.0
    stretch: int = 1
    warmup_epochs: int = 0
    warmup_start: float | None = None
    restart: bool = False


def _milestones(schedule: Schedule, epochs: int) -> list[int]:
    return [numerator * epochs // denominator for numerator, denominator in schedule.milestones]


def _multistep(schedule: Schedule, learning_rate: float, epochs: int) -> optax.Schedule:
    # Two milestones may fall on one epoch of a short run: their factors then multiply.
    factors: dict[int, float] = {}
    for epoch in _milestones(schedule, epochs):
        factors[epoch] = factors.get(epoch, 1.0) * schedule.gamma
    return optax.piecewise_constant_schedule(learning_rate, factors)


def _cosine(schedule: Schedule, learning_rate: float, epochs: int) -> optax.Schedule:
    return optax.cosine_decay_schedule(learning_rate, max(epochs, 1) * schedule.stretch, schedule.final)


def _constant(schedule: Schedule, learning_rate: float, epochs: int) -> optax.Schedule:
    del schedule, epochs
    return optax.constant_schedule(learning_rate)


SCHEDULES: Mapping[str, Callable[[Schedule, float, int], optax.Schedule]] = MappingProxyType(
    {"multistep": _multistep, "cosine": _cosine, "constant": _constant}
)


def make_schedule(schedule: Schedule, learning_rate: float, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Build the learning rate as a function of the step; constant within each epoch.

    Args: epochs and steps_per_epoch of the run. Raises: GiftError for an unknown name.
    Reference: `torch.optim.lr_scheduler` MultiStepLR, CosineAnnealingLR and LinearLR, stepped by epoch.
    """
    if schedule.name not in SCHEDULES:
        raise GiftError(f"schedule {schedule.name!r} is unknown; choose one of {', '.join(SCHEDULES)}")
    warmup = schedule.warmup_epochs
    by_epoch = SCHEDULES[schedule.name](schedule, learning_rate, epochs - warmup)
    if warmup:
        start = 1 / (warmup + 1) if schedule.warmup_start is None else schedule.warmup_start
        rising = optax.linear_schedule(learning_rate * start, learning_rate, warmup)
        by_epoch = optax.join_schedules([rising, by_epoch], [warmup])
    return lambda step: by_epoch(jnp.asarray(step) // steps_per_epoch)


def restart_steps(schedule: Schedule, epochs: int, steps_per_epoch: int) -> tuple[int, ...]:
    """Steps before which the optimizer starts anew: the milestones of a schedule with restart, else none."""
    milestones = _milestones(schedule, epochs - schedule.warmup_epochs) if schedule.restart else []
    return tuple((epoch + schedule.warmup_epochs) * steps_per_epoch for epoch in milestones)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer and its settings.

    name: `sgd`, `adam` or `adamw`, as in `torch.optim`, or any optimizer of optax by its name there, whose
    further arguments are options, (name, value) pairs. momentum and nesterov are SGD's; betas and epsilon
    Adam's and AdamW's. weight_decay is decoupled where the optimizer has it so (AdamW), else added to the
    gradient, as in PyTorch; decay_vectors=False spares biases and normalisations.
    Raises: GiftError for a learning rate or weight decay below zero.
    Reference: `torch.optim` SGD, Adam and AdamW; optax's own for the others.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay_vectors: bool = True
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        for option in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, option) < math.inf:
                raise GiftError(f"{option} must be a number from 0, not {getattr(self, option)}")


def _decay_mask(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda array: array.ndim > 1, params)


def _mask(optimizer: Optimizer) -> Callable[[optax.Params], optax.Params] | None:
    return None if optimizer.decay_vectors else _decay_mask


def _coupled(optimizer: Optimizer, inner: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(optax.add_decayed_weights(optimizer.weight_decay, _mask(optimizer)), inner)


def _sgd(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    momentum = optimizer.momentum or None
    return _coupled(optimizer, optax.sgd(schedule, momentum, optimizer.nesterov))


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


def _adam(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    direction = scale_by_adam(optimizer.betas, optimizer.epsilon)
    return _coupled(optimizer, optax.chain(direction, optax.scale_by_learning_rate(schedule)))


def _adamw(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    direction = scale_by_adam(optimizer.betas, optimizer.epsilon)
    decay = optax.add_decayed_weights(optimizer.weight_decay, _mask(optimizer))
    return optax.chain(direction, decay, optax.scale_by_learning_rate(schedule))


OPTIMIZERS: Mapping[str, Callable[[Optimizer, optax.Schedule], optax.GradientTransformation]] = MappingProxyType(
    {"sgd": _sgd, "adam": _adam, "adamw": _adamw}
)


class RateState(NamedTuple):
    """State of `with_rate`: the learning rate, and the inner transformation's state."""

    rate: jax.Array
    inner: optax.OptState


def with_rate(
    make_inner: Callable[[Any], optax.GradientTransformation], learning_rate: float
) -> optax.GradientTransformation:
    """Keep the learning rate in the state, so that runs that differ in it alone share one compilation.

    Args: make_inner, of the rate, a number or a traced one.
    """

    def init(params: optax.Params) -> RateState:
        return RateState(jnp.float32(learning_rate), make_inner(learning_rate).init(params))

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RateState]:
        assert isinstance(state, RateState)
        updates, inner = make_inner(state.rate).update(updates, state.inner, params)
        return updates, RateState(state.rate, inner)

    return optax.GradientTransformation(init, update)


class RestartState(NamedTuple):
    """State of `restarting`: how many steps are done, and the inner transformation's state."""

    done: jax.Array
    inner: optax.OptState


def restarting(inner: optax.GradientTransformation, steps: tuple[int, ...]) -> optax.GradientTransformation:
    """Give inner its initial state again before each of these steps, as if a new optimizer were made there."""

    def init(params: optax.Params) -> RestartState:
        return RestartState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, RestartState]:
        assert isinstance(state, RestartState)
        due = jnp.isin(state.done, jnp.asarray(steps, jnp.int32))
        fresh = inner.init(updates if params is None else params)
        current = jax.tree.map(lambda new, old: jnp.where(due, new, old), fresh, state.inner)
        updates, current = inner.update(updates, current, params)
        return updates, RestartState(state.done + 1, current)

    return optax.GradientTransformation(init, update)


def make_optimizer(
    optimizer: Optimizer, schedule: optax.Schedule, restarts: tuple[int, ...] = ()
) -> optax.GradientTransformation:
    """Build the optax transformation, its state new again at the steps of restarts.

    Raises: GiftError for an unknown name or option.
    """
    if restarts:
        # The schedule counts all steps: it stays outside of what starts anew.
        direction = make_optimizer(optimizer, optax.constant_schedule(1.0))
        return optax.chain(restarting(direction, restarts), optax.scale_by_schedule(schedule))
    if optimizer.name in OPTIMIZERS:
        if optimizer.options:
            raise GiftError(f"optimizer {optimizer.name!r} takes no options; set momentum, betas or epsilon")
        return OPTIMIZERS[optimizer.name](optimizer, schedule)
    return _from_optax(optimizer, schedule)


def _matrices(params: optax.Params) -> Any:
    """For Muon, kernels as matrices of inputs by outputs, the last axis; vectors are left to Adam."""

    def dimensions(array: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        inputs = tuple(range(array.ndim - 1))
        return optax.contrib.MuonDimensionNumbers(inputs, (array.ndim - 1,)) if inputs else None

    return jax.tree.map(dimensions, params)


# What optax leaves to its caller: arguments that depend on the layout of our kernels.
_ARGUMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"muon": {"muon_weight_dimension_numbers": _matrices}})


def _from_optax(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    constructor = _find_constructor(optimizer.name)
    parameters = inspect.signature(constructor).parameters
    # optax.contrib.muon calls its mask by another name than optax.adamw.
    masks = {name: _mask(optimizer) for name in ("mask", "weight_decay_mask") if name in parameters}
    decay = {"weight_decay": optimizer.weight_decay, **masks} if "weight_decay" in parameters else {}
    given = {**decay, **_ARGUMENTS.get(optimizer.name, {}), **dict(optimizer.options)}
    try:
        inner = constructor(learning_rate=schedule, **given)
    except (TypeError, ValueError) as error:
        raise GiftError(f"optimizer {optimizer.name!r}: {error}; give its arguments as options") from None
    return inner if decay else _coupled(optimizer, inner)


def _find_constructor(name: str) -> Callable[..., optax.GradientTransformation]:
    for module in (optax, optax.contrib):
        constructor: Any = getattr(module, name, None)
        is_function = inspect.isfunction(constructor) and not name.startswith(("_", "scale_by"))
        if is_function and "learning_rate" in inspect.signature(constructor).parameters:
            return constructor
    raise GiftError(f"optimizer {name!r} is unknown; choose {', '.join(OPTIMIZERS)} or an optimizer of optax")
