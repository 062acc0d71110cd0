"""What conversion needs to know about a family, and the form that torchvision's families share."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec

from ..rules import Rule
from ..vision import load_torchvision_models


class Family(NamedTuple):
    """How a family's weights are read.

    normalise_names: other layouts' state dicts -> the official names. read_spec: (file name, requested spec,
    state) -> the spec with the options that the weights tell; raises GiftError where they contradict it.
    rules: spec -> table. reference: spec -> the PyTorch module.
    """

    normalise_names: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
    read_spec: Callable[[str, ModelSpec, Mapping[str, torch.Tensor]], ModelSpec]
    rules: Callable[[ModelSpec], Sequence[Rule]]
    reference: Callable[[ModelSpec], nn.Module]


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


CHANNELS = "takes {0} channels, but the dataset has {1}; check --dataset"
CLASSES = "has {0} outputs, but the dataset has {1} classes; check --dataset"
DEPTH = "the file holds a {0}, but --model is {1}; give the model that was trained"


def torchvision_family(
    rules: Sequence[Rule],
    *,
    stem: str,
    head: str,
    reference: Callable[[ModelSpec], nn.Module] = reference,
    normalise_names: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]] = dict,
    checks: Callable[[ModelSpec, Mapping[str, torch.Tensor]], Sequence[Check]] = lambda spec, state: (),
) -> Family:
    """A family with torchvision's one layout and no options.

    stem and head name the first convolution's and the last linear layer's weights, which tell channels and
    classes; checks are the family's own, made first.
    """

    def read_spec(where: str, spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> ModelSpec:
        first, last = state.get(stem), state.get(head)
        if first is None or last is None or first.ndim != 4 or last.ndim != 2:
            raise GiftError(f"{where}: holds no {spec.name} ({stem}, {head}); check --model")
        check(
            where,
            (
                *checks(spec, state),
                (first.shape[1], spec.channels, CHANNELS),
                (last.shape[0], spec.num_classes, CLASSES),
            ),
        )
        return spec

    return Family(normalise_names, read_spec, lambda spec: rules, reference)
