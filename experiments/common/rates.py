"""Multiples of learning rates, and the losses that are compared at them."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from gift_jax import GiftError
from gift_jax.optim import Optimizer
from gift_jax.runtime.options import Alias, Choices

from .study import Method, Study

SQUARED = "kl_t2"  # KL times T^2
LossOrSquared = Annotated[str, Choices("gift_jax.losses:LOSSES", (SQUARED,))]
LossesOrSquared = Annotated[tuple[LossOrSquared, ...], Alias("loss")]


@dataclasses.dataclass(frozen=True)
class RateStudy(Study):
    """Losses at several learning rates on one set.

    Args:
        method: method of the set.
        losses: names of losses, or kl_t2.
        rates: multiples of the default learning rate, 1 among them.
    """

    method: Method = "rded"
    losses: LossesOrSquared = ("kl", SQUARED, "softce", "mse_ce", "gift")
    rates: tuple[float, ...] = (1.0, 10.0, 100.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rates(self.rates)


def check_rates(rates: Sequence[float], option: str = "--rates") -> None:
    """Raises: GiftError unless these are multiples of a default learning rate, itself among them."""
    if 1.0 not in rates or min(rates) <= 0:
        raise GiftError(f"{option} must be above 0 and hold 1, the default rate")


def at_rate(optimizer: Optimizer, multiple: float) -> Optimizer:
    """An optimizer at a multiple of its learning rate."""
    return dataclasses.replace(optimizer, learning_rate=float(f"{optimizer.learning_rate * multiple:.6g}"))


def loss_changes(name: str) -> dict[str, Any]:
    """A loss by its name here, as fields of a recipe."""
    return {"loss": "kl", "loss_options": (("t_squared", True),)} if name == SQUARED else {"loss": name}
