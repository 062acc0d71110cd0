"""An optimizer and its settings; default rates and settings, and where each comes from.

No default was chosen by looking at results of this project.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gift_jax.errors import GiftError, unknown_name


class Rate(NamedTuple):
    """A learning rate, and where it comes from."""

    value: float
    source: str


_TORCH = "torch.optim's default"
_OPTAX = "optax's default"
_SGD = Rate(0.1, "that of sgd")
_FREE = Rate(1.0, "optax's default: it finds the rate itself, and 1 leaves that as it is")

RATES: Mapping[str, Rate] = {
    "sgd": Rate(0.1, "torchvision's reference training"),
    "adam": Rate(1e-3, _TORCH),
    "adamw": Rate(1e-3, "GIFT's official recipe"),
    "acprop": Rate(1e-3, "that of adabelief, by the same authors"),
    "adabelief": Rate(1e-3, "Zhuang et al. (2020)"),
    "adadelta": Rate(1.0, _TORCH),
    "adafactor": Rate(1e-2, "Shazeer and Stern (2018)"),
    "adagrad": Rate(1e-2, _TORCH),
    "adamax": Rate(2e-3, _TORCH),
    "adamaxw": Rate(2e-3, "that of adamax"),
    "adan": Rate(1e-3, "the default of its authors' code, sail-sg/Adan"),
    "ademamix": Rate(1e-3, "the default of its authors' code, apple/ml-ademamix"),
    "adopt": Rate(1e-3, "the default of its authors' code, iShohei220/adopt"),
    "amsgrad": Rate(1e-3, "torch.optim.Adam's default, with amsgrad"),
    "cocob": _FREE,
    "dadapt_adamw": _FREE,
    "dog": _FREE,
    "dowg": _FREE,
    "fromage": Rate(1e-2, "Bernstein et al. (2020)"),
    "galore": Rate(1e-3, "that of adam, which it runs on the projected gradient"),
    "lamb": Rate(1e-3, "TensorFlow Addons' default"),
    "lars": Rate(0.3, "SimCLR at a batch of 256 (Chen et al., 2020)"),
    "lbfgs": Rate(1.0, "optax's default: a line search chooses the step"),
    "lion": Rate(1e-4, "Chen et al. (2023): AdamW's rate / 10"),
    "madgrad": Rate(1e-2, "the default of its authors' code, facebookresearch/madgrad"),
    "mechanize": Rate(1.0, "optax's docstring: it finds the rate itself, on top of AdamW at 1"),
    "momo": Rate(1.0, _OPTAX),
    "momo_adam": Rate(1e-2, _OPTAX),
    "muon": Rate(1e-3, "Liu et al. (2025): updates scaled to AdamW's, at AdamW's rate"),
    "nadam": Rate(2e-3, _TORCH),
    "nadamw": Rate(2e-3, "that of nadam"),
    "noisy_sgd": _SGD,
    "novograd": Rate(1e-3, "torch-optimizer's default"),
    "optimistic_adam_v2": Rate(1e-3, "that of adam"),
    "optimistic_gradient_descent": _SGD,
    "polyak_sgd": Rate(1.0, "optax's default: the loss decides the step"),
    "prodigy": _FREE,
    "radam": Rate(1e-3, _TORCH),
    "rmsprop": Rate(1e-2, _TORCH),
    "rprop": Rate(1e-2, "torch.optim's default: the first step of each weight"),
    "sam": Rate(0.1, "that of sgd, which takes the outer steps"),
    "schedule_free_adamw": Rate(2.5e-3, _OPTAX),
    "schedule_free_sgd": Rate(1.0, _OPTAX),
    "sign_sgd": Rate(1e-4, "that of lion, whose updates are signs too"),
    "signum": Rate(1e-4, "that of lion, whose updates are signs too"),
    "simplified_ademamix": Rate(1e-5, "that of adam times 1 - b1, as its momentum is a sum and not a mean"),
    "sm3": Rate(0.1, "pytorch-optimizer's default"),
    "sophia": Rate(1e-4, "the default of its authors' code, Liuhong99/Sophia"),
    "yogi": Rate(1e-2, "TensorFlow Addons' default"),
}

_PART = "is a part of an optimizer"
REFUSED: Mapping[str, str] = {
    "differentially_private_aggregate": f"{_PART} and needs the gradient of each image; choose sgd or noisy_sgd",
    "dpsgd": "needs the gradient of each image, which there is not under BatchNorm; choose sgd or noisy_sgd",
    "hutchinson_estimator_diag_hessian": f"{_PART}, of sophia; choose that",
    "normalize": f"{_PART}, of sam; choose that",
    "optimistic_adam": "is deprecated in optax and takes no schedule; choose optimistic_adam_v2",
    "reduce_on_plateau": "is a schedule of the learning rate; choose an optimizer, whose schedule the recipe has",
    "schedule_free": "needs another optimizer inside; choose schedule_free_sgd or schedule_free_adamw",
    "split_real_and_imaginary": "is for complex weights, and those of the students are real; choose another",
}
"""What optax has among its optimizers and no student can be trained with, and why."""


def default_rate(name: str) -> Rate:
    """The default learning rate of an optimizer.

    Raises: GiftError for one that cannot be trained with, with the reason, and for one that is not known.
    """
    if name in RATES:
        return RATES[name]
    if name in REFUSED:
        raise GiftError(f"optimizer {name!r} {REFUSED[name]}")
    raise unknown_name("optimizer", name, RATES)


OptionValue = int | float | bool | str

# A number once the name is known, so that whoever reads the field has one.
_DEFAULT: Any = None
# Compared by identity: the same value, where it is given to an optimizer that does not read it, is refused.
_MOMENTUM, _BETAS, _EPSILON = 0.9, (0.9, 0.999), 1e-8

READ: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("sgd", "sam"), frozenset({"momentum", "nesterov"})),
    **dict.fromkeys(("adam", "adamw", "mechanize"), frozenset({"betas", "epsilon"})),
}
"""Which settings of torch.optim's an optimizer reads; the others of optax have their own, as options."""


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer and its settings.

    name: `sgd`, `adam` or `adamw`, as in `torch.optim`, or any optimizer of optax by its name there, whose further
    arguments are options, (name, value) pairs. learning_rate is by default that of `RATES`. momentum and nesterov are
    SGD's, betas and epsilon Adam's and AdamW's. weight_decay is decoupled where the optimizer has it so (AdamW), else
    added to the gradient, as in PyTorch; decay_vectors=False spares biases and normalisations.
    Raises: GiftError for a learning rate or weight decay below zero, for a setting that the optimizer does not read,
    and if there is no default rate.
    Reference: `torch.optim` SGD, Adam and AdamW; optax's own for the others.
    """

    name: str = "adamw"
    learning_rate: float = _DEFAULT
    weight_decay: float = 1e-4
    momentum: float = _MOMENTUM
    nesterov: bool = False
    betas: tuple[float, float] = _BETAS
    epsilon: float = _EPSILON
    decay_vectors: bool = True
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        if self.learning_rate is _DEFAULT:
            object.__setattr__(self, "learning_rate", default_rate(self.name).value)
        for option in ("learning_rate", "weight_decay", "momentum", "epsilon"):
            if not 0 <= getattr(self, option) < math.inf:
                raise GiftError(f"{option} must be a number from 0, not {getattr(self, option)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise GiftError(f"betas must be numbers from 0 and below 1, not {self.betas}")
        defaults = {"momentum": _MOMENTUM, "nesterov": False, "betas": _BETAS, "epsilon": _EPSILON}
        for setting, default in defaults.items() if self.name in RATES else ():
            if getattr(self, setting) is not default and setting not in READ.get(self.name, ()):
                raise GiftError(
                    f"optimizer {self.name!r} does not read {setting}; drop it, or give its own argument as an option"
                )

    def renamed(self, name: str, learning_rate: float | None = None) -> "Optimizer":
        """Another optimizer with this weight decay and what else both read; by default at its own default rate."""
        both = [setting for setting in READ.get(name, ()) if setting in READ.get(self.name, ())]
        kept = {setting: getattr(self, setting) for setting in both}
        rate = _DEFAULT if learning_rate is None else learning_rate
        return Optimizer(name, rate, self.weight_decay, decay_vectors=self.decay_vectors, **kept)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning rate over epochs, stepped once an epoch as PyTorch's schedulers are.

    name: `multistep` (times gamma at each milestone), `cosine` (to final times the rate), `linear` (to zero),
    `constant`, or `cosine_drop`, EDC's: a cosine for five sixths of the epochs, then its last value times the share of
    all epochs that is left. stretch is how many times as long as the run the cosine or the line is (2: it ends
    half-way, as RDED's).
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


class Compared(NamedTuple):
    """An optimizer at its default settings, its schedule, and where they come from."""

    optimizer: Optimizer
    source: str
    schedule: Schedule = Schedule()


COMPARED: Mapping[str, Compared] = {
    "sgd": Compared(Optimizer("sgd", weight_decay=1e-4), "torchvision's reference training"),
    "nesterov": Compared(Optimizer("sgd", weight_decay=5e-4, nesterov=True), "Zagoruyko and Komodakis (2016)"),
    "adam": Compared(Optimizer("adam", weight_decay=0.0), "torch.optim's defaults"),
    "adamw": Compared(Optimizer("adamw", weight_decay=1e-4), "GIFT's official recipe"),
    "rmsprop": Compared(
        Optimizer("rmsprop", weight_decay=0.0, options=(("decay", 0.99), ("eps", 1e-8), ("eps_in_sqrt", False))),
        "torch.optim's defaults",
    ),
    "adagrad": Compared(
        Optimizer("adagrad", weight_decay=0.0, options=(("eps", 1e-10), ("initial_accumulator_value", 0.0))),
        "torch.optim's defaults",
    ),
    "lion": Compared(Optimizer("lion", weight_decay=1e-3), "Chen et al. (2023): AdamW's rate / 10, decay x 10"),
    "lamb": Compared(Optimizer("lamb", weight_decay=1e-2), "TensorFlow Addons' rate, the decay of You et al. (2020)"),
    "adafactor": Compared(Optimizer("adafactor", weight_decay=0.0), "Shazeer and Stern (2018)"),
    "muon": Compared(
        Optimizer("muon", weight_decay=1e-4, options=(("consistent_rms", 0.2),)),
        "Liu et al. (2025): updates scaled to AdamW's, at AdamW's rate and decay",
    ),
    "schedule_free": Compared(
        Optimizer("schedule_free_adamw", weight_decay=1e-4),
        "optax's rate, no schedule (Defazio et al., 2024)",
        Schedule("constant"),
    ),
}


def compared(name: str) -> Compared:
    """An optimizer of `COMPARED` by its name. Raises: GiftError that lists them."""
    if name not in COMPARED:
        raise unknown_name("optimizer", name, COMPARED)
    return COMPARED[name]
