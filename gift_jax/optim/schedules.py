"""Learning rates over epochs, as PyTorch's schedulers have them."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax

from gift_jax.errors import unknown_name
from gift_jax.optim.settings import Schedule


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


def _cosine_drop(schedule: Schedule, learning_rate: float, epochs: int) -> optax.Schedule:
    cosine, last = _cosine(schedule, learning_rate, epochs), epochs * 5 / 6

    def rate(epoch: Any) -> Any:
        left = (epochs - epoch) / max(epochs, 1)
        return jnp.where(epoch <= last, cosine(epoch), cosine(jnp.asarray(last)) * left)

    return rate


SCHEDULES: Mapping[str, Callable[[Schedule, float, int], optax.Schedule]] = {
    "multistep": _multistep,
    "cosine": _cosine,
    "linear": lambda schedule, rate, epochs: optax.linear_schedule(rate, 0.0, max(epochs, 1) * schedule.stretch),
    "constant": lambda schedule, rate, epochs: optax.constant_schedule(rate),
    "cosine_drop": _cosine_drop,
}


def make_schedule(schedule: Schedule, learning_rate: float, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Build the learning rate as a function of the step; constant within each epoch.

    Args: epochs and steps_per_epoch of the run. Raises: GiftError for an unknown name.
    Reference: `torch.optim.lr_scheduler` MultiStepLR, CosineAnnealingLR and LinearLR, stepped by epoch.
    """
    if schedule.name not in SCHEDULES:
        raise unknown_name("schedule", schedule.name, SCHEDULES)
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
