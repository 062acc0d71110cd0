"""An optimizer and its settings."""

import dataclasses
import math
from typing import Any

from gift_jax.errors import GiftError
from gift_jax.optim.customary import customary_rate

OptionValue = int | float | bool | str

# A number once the name is known, so that whoever reads the field has one.
_CUSTOMARY: Any = None


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer and its settings.

    name: `sgd`, `adam` or `adamw`, as in `torch.optim`, or any optimizer of optax by its name there, whose
    further arguments are options, (name, value) pairs. learning_rate, if it is not given, is the customary one
    (`gift_jax.optim.customary`). momentum and nesterov are SGD's; betas and epsilon
    Adam's and AdamW's. weight_decay is decoupled where the optimizer has it so (AdamW), else added to the
    gradient, as in PyTorch; decay_vectors=False spares biases and normalisations.
    Raises: GiftError for a learning rate or weight decay below zero, and if there is no customary rate.
    Reference: `torch.optim` SGD, Adam and AdamW; optax's own for the others.
    """

    name: str = "adamw"
    learning_rate: float = _CUSTOMARY
    weight_decay: float = 1e-4
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay_vectors: bool = True
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        if self.learning_rate is _CUSTOMARY:
            object.__setattr__(self, "learning_rate", customary_rate(self.name).value)
        for option in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, option) < math.inf:
                raise GiftError(f"{option} must be a number from 0, not {getattr(self, option)}")
