"""Optimizers with PyTorch's weight-decay semantics, and learning-rate schedules by epoch; all from optax."""

from gift_jax.optim.customary import RATES, REFUSED, Rate, customary_rate
from gift_jax.optim.making import make_optimizer
from gift_jax.optim.optax_by_name import LOSS_READERS
from gift_jax.optim.pytorch import OPTIMIZERS, scale_by_adam
from gift_jax.optim.schedules import SCHEDULES, Schedule, make_schedule, restart_steps
from gift_jax.optim.settings import Optimizer, OptionValue
from gift_jax.optim.states import (
    AverageState,
    RateState,
    RestartState,
    averaging,
    copy_and_rekey_state,
    is_key,
    restarting,
    with_rate,
)

__all__ = [
    "LOSS_READERS",
    "OPTIMIZERS",
    "RATES",
    "REFUSED",
    "SCHEDULES",
    "AverageState",
    "Optimizer",
    "OptionValue",
    "Rate",
    "RateState",
    "RestartState",
    "Schedule",
    "averaging",
    "copy_and_rekey_state",
    "customary_rate",
    "is_key",
    "make_optimizer",
    "make_schedule",
    "restart_steps",
    "restarting",
    "scale_by_adam",
    "with_rate",
]
