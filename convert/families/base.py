"""What conversion needs to know about a family, and the form that torchvision's families share."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec

from ..rules import Rule, shown
from ..vision import load_torchvision_models
from .spelling import Spelling


class Family(NamedTuple):
    """How a family's weights are read.

    spellings: other code's names of the same weights. read_spec: (file name, requested spec, state) -> the spec with
    the options that the weights tell; raises GiftError where they contradict it. rules: spec -> table. reference:
    spec -> the PyTorch module. head: the last linear layer's name.
    """

    spellings: Sequence[Spelling]
    read_spec: Callable[[str, ModelSpec, Mapping[str, torch.Tensor]], ModelSpec]
    rules: Callable[[ModelSpec], Sequence[Rule]]
    reference: Callable[[ModelSpec], nn.Module]
    head: str


def reference(spec: ModelSpec) -> nn.Module:
    """torchvision's module of that name, with its initial distribution."""
    return getattr(load_torchvision_models(), spec.name)(weights=None, num_classes=spec.num_classes)


Check = tuple[object, object, str]
"""(found, wanted, message), the message a template of the first two."""


def check(where: str, checks: Sequence[Check]) -> None:
    """Compare. Raises: GiftError with the first message whose two differ."""
    for found, wanted, message in checks:
        if found != wanted:
            raise GiftError(f"{where}: {message.format(found, wanted)}")


def begins(state: Mapping[str, torch.Tensor]) -> str:
    """What a state dict holds instead of what was asked for: the first of its names, for a sentence."""
    names = ", ".join(f"{shown(name)} {list(tensor.shape)}" for name, tensor in list(state.items())[:2])
    return f", but {len(state)} tensor{'s' * (len(state) != 1)}: {names}" + ", ..." * (len(state) > 2)


CHANNELS = "takes {0}-channel images, but the dataset's have {1}; check --dataset"
CLASSES = "has {0} outputs, but the dataset has {1} classes; check --dataset"
MORE_CLASSES = f"{CLASSES}, or give --rows, the outputs of the dataset's {{1}} classes in its order"
DEPTH = "the file holds a {0}, but --model is {1}; give the model that was trained"


def classes(found: int, wanted: int) -> Check:
    """Compare a head's outputs with the dataset's classes; of more, the dataset may be a part."""
    return found, wanted, MORE_CLASSES if found > wanted else CLASSES


def torchvision_family(
    rules: Sequence[Rule],
    *,
    stem: str,
    head: str,
    reference: Callable[[ModelSpec], nn.Module] = reference,
    spellings: Sequence[Spelling] = (),
    checks: Callable[[ModelSpec, Mapping[str, torch.Tensor]], Sequence[Check]] = lambda spec, state: (),
) -> Family:
    """A family with torchvision's names and no options.

    stem names the first convolution's weights and head the last linear layer, which tell channels and classes;
    checks are the family's own, made first.
    """

    def read_spec(where: str, spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> ModelSpec:
        first, last = state.get(stem), state.get(f"{head}.weight")
        if first is None or last is None or first.ndim != 4 or last.ndim != 2:
            raise GiftError(f"{where}: holds no {spec.name} ({stem}, {head}.weight){begins(state)}; check --model")
        check(
            where,
            (
                *checks(spec, state),
                (first.shape[1], spec.channels, CHANNELS),
                classes(last.shape[0], spec.num_classes),
            ),
        )
        return spec

    return Family(spellings, read_spec, lambda spec: rules, reference, head)
