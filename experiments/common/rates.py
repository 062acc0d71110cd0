"""Multiples of learning rates, and the losses that are compared at them."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from gift_jax import GiftError
from gift_jax.optim import Optimizer
from gift_jax.runtime.options import Alias, Choices

SQUARED = "kl_t2"  # KL times T^2
LossOrSquared = Annotated[str, Choices("gift_jax.losses:LOSSES", (SQUARED,))]
LossesOrSquared = Annotated[tuple[LossOrSquared, ...], Alias("loss")]


def check_rates(rates: Sequence[float]) -> None:
    """Multiples of a learning rate. Raises: GiftError."""
    if 1.0 not in rates or min(rates) <= 0:
        raise GiftError("--rates must be above 0 and hold 1, the default rate")


def at_rate(optimizer: Optimizer, multiple: float) -> Optimizer:
    """An optimizer at a multiple of its learning rate."""
    return dataclasses.replace(optimizer, learning_rate=float(f"{optimizer.learning_rate * multiple:.6g}"))


def loss_changes(name: str) -> dict[str, Any]:
    """A loss by its name here, as fields of a recipe."""
    return {"loss": "kl", "loss_options": (("t_squared", True),)} if name == SQUARED else {"loss": name}
