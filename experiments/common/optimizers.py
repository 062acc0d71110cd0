"""Optimizers with the settings that are customary for them, and where each custom comes from.

The learning rates are those of `gift_jax.optim.customary`.

Nothing here was chosen by looking at results of this project.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, NamedTuple

from gift_jax import GiftError
from gift_jax.optim import Optimizer, Schedule
from gift_jax.runtime.options import Choices

_OFFICIAL = Schedule()
_CONSTANT = Schedule("constant")

CustomaryName = Annotated[str, Choices(f"{__name__}:CUSTOMARY")]


class Custom(NamedTuple):
    """An optimizer at its customary settings, its schedule, and where they come from."""

    optimizer: Optimizer
    source: str
    schedule: Schedule = _OFFICIAL


CUSTOMARY: Mapping[str, Custom] = MappingProxyType(
    {
        "sgd": Custom(Optimizer("sgd", weight_decay=1e-4), "torchvision's reference training"),
        "nesterov": Custom(Optimizer("sgd", weight_decay=5e-4, nesterov=True), "Zagoruyko and Komodakis (2016)"),
        "adam": Custom(Optimizer("adam", weight_decay=0.0), "torch.optim's defaults"),
        "adamw": Custom(Optimizer("adamw", weight_decay=1e-4), "GIFT's official recipe"),
        "rmsprop": Custom(
            Optimizer("rmsprop", weight_decay=0.0, options=(("decay", 0.99), ("eps", 1e-8), ("eps_in_sqrt", False))),
            "torch.optim's defaults",
        ),
        "adagrad": Custom(
            Optimizer("adagrad", weight_decay=0.0, options=(("eps", 1e-10), ("initial_accumulator_value", 0.0))),
            "torch.optim's defaults",
        ),
        "lion": Custom(Optimizer("lion", weight_decay=1e-3), "Chen et al. (2023): AdamW's rate / 10, decay x 10"),
        "lamb": Custom(Optimizer("lamb", weight_decay=1e-2), "TensorFlow Addons' rate, the decay of You et al. (2020)"),
        "adafactor": Custom(Optimizer("adafactor", weight_decay=0.0), "Shazeer and Stern (2018)"),
        "muon": Custom(
            Optimizer("muon", weight_decay=1e-4, options=(("consistent_rms", 0.2),)),
            "Liu et al. (2025): updates scaled to AdamW's, at AdamW's rate and decay",
        ),
        "schedule_free": Custom(
            Optimizer("schedule_free_adamw", weight_decay=1e-4),
            "optax's rate, no schedule (Defazio et al., 2024)",
            _CONSTANT,
        ),
    }
)


def customary(name: str) -> Custom:
    """An optimizer by its name here. Raises: GiftError that lists them."""
    if name not in CUSTOMARY:
        raise GiftError(f"--optimizers: {name!r} is unknown; choose of {', '.join(CUSTOMARY)}")
    return CUSTOMARY[name]
