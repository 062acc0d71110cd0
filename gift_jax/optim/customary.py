"""Customary learning rates of PyTorch's and optax's optimizers, and where each custom comes from.

Nothing here was chosen by looking at results of this project.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gift_jax.errors import GiftError


class Rate(NamedTuple):
    """A learning rate, and where it comes from."""

    value: float
    source: str


_TORCH = "torch.optim's default"
_OPTAX = "optax's default"
_SGD = Rate(0.1, "that of sgd")
_FREE = Rate(1.0, "optax's default: it finds the rate itself, and 1 leaves that as it is")

RATES: Mapping[str, Rate] = MappingProxyType(
    {
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
)

_PART = "is a part of an optimizer"
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "differentially_private_aggregate": f"{_PART} and needs the gradient of each image; choose sgd or noisy_sgd",
        "dpsgd": "needs the gradient of each image, which there is not under BatchNorm; choose sgd or noisy_sgd",
        "hutchinson_estimator_diag_hessian": f"{_PART}, of sophia; choose that",
        "normalize": f"{_PART}, of sam; choose that",
        "optimistic_adam": "is deprecated in optax and takes no schedule; choose optimistic_adam_v2",
        "reduce_on_plateau": "is a schedule of the learning rate; choose an optimizer, whose schedule the recipe has",
        "schedule_free": "needs another optimizer inside; choose schedule_free_sgd or schedule_free_adamw",
        "split_real_and_imaginary": "is for complex weights, and those of the students are real; choose another",
    }
)
"""What optax has among its optimizers and no student can be trained with, and why."""


def customary_rate(name: str) -> Rate:
    """The learning rate that is customary for an optimizer.

    Raises: GiftError for one that cannot be trained with, with the reason, and for one that is not known.
    """
    if name in RATES:
        return RATES[name]
    raise GiftError(f"optimizer {name!r} {REFUSED.get(name) or unknown()}")


def unknown() -> str:
    """What to say of a name that is no optimizer's."""
    return f"is unknown; choose one of {', '.join(RATES)}"
