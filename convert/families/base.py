"""What conversion needs to know about a family, and the form that torchvision's families share."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model
from gift_jax.teachers.teacher import flatten

from ..rules import Rule, name_in_file
from ..vision import load_torchvision_models
from .spelling import Spelling, State


class Family(NamedTuple):
    """How a family's weights are read.

    spellings: other code's names of the same weights. read_spec: (file name, requested spec, state) -> the spec with
    the options that the weights tell; raises GiftError where they contradict it. rules: spec -> table. reference:
    spec -> the PyTorch module. head: the last linear layer's name.
    """

    spellings: Sequence[Spelling]
    read_spec: Callable[[str, ModelSpec, State], ModelSpec]
    rules: Callable[[ModelSpec], Sequence[Rule]]
    reference: Callable[[ModelSpec], nn.Module]
    head: str


def reference(spec: ModelSpec) -> nn.Module:
    """torchvision's module of that name, with its initial distribution."""
    return getattr(load_torchvision_models(), spec.name)(weights=None, num_classes=spec.num_classes)


Options = Mapping[str, int | float | str]
Check = tuple[object, object, str]
"""(found, wanted, message), the message a template of the first two."""


def check(where: str, checks: Sequence[Check]) -> None:
    """Compare. Raises: GiftError with the first message whose two differ."""
    for found, wanted, message in checks:
        if found != wanted:
            raise GiftError(f"{where}: {message.format(found, wanted)}")


def begins(state: State) -> str:
    """What a state dict holds instead of what was asked for: the first of its names, for a sentence."""
    names = ", ".join(f"{name_in_file(name, tensor)} {list(tensor.shape)}" for name, tensor in list(state.items())[:2])
    return f", but {len(state)} tensor{'s' * (len(state) != 1)}: {names}" + ", ..." * (len(state) > 2)


CHANNELS = "takes {0}-channel images, but the dataset's have {1}; check --dataset"
CLASSES = "has {0} outputs, but the dataset has {1} classes; check --dataset"
MORE_CLASSES = f"{CLASSES}, or give --rows, the outputs of the dataset's {{1}} classes in its order"


def family(
    rules: Sequence[Rule] | Callable[[ModelSpec], Sequence[Rule]],
    *,
    stem: str,
    head: str,
    reference: Callable[[ModelSpec], nn.Module] = reference,
    spellings: Sequence[Spelling] = (),
    checks: Callable[[ModelSpec, State], Sequence[Check]] = lambda spec, state: (),
    read_options: Callable[[str, ModelSpec, State], Options] = lambda where, spec, state: dict(spec.options),
    defaults: Mapping[str, int | float | str] = {},
) -> Family:
    """A family by its tables.

    stem names the first convolution's weights and head the last linear layer, which tell channels and classes;
    checks are the family's own. read_options are those that the weights tell; a spec names the ones that
    are not the defaults.
    """
    make_rules = rules if callable(rules) else lambda spec: rules

    def read_spec(where: str, spec: ModelSpec, state: State) -> ModelSpec:
        first, last = state.get(stem), state.get(f"{head}.weight")
        if first is None or last is None or first.ndim != 4 or last.ndim != 2 or not len(first):
            raise GiftError(f"{where}: holds no {spec.name} ({stem}, {head}.weight){begins(state)}; check --model")
        more = MORE_CLASSES if last.shape[0] > spec.num_classes else CLASSES
        known = (
            (first.shape[1], spec.channels, CHANNELS),
            *checks(spec, state),
            (last.shape[0], spec.num_classes, more),
        )
        check(where, known)
        told = read_options(where, spec, state)
        stated = sorted((name, value) for name, value in told.items() if value != defaults.get(name))
        spec = dataclasses.replace(spec, options=tuple(stated))
        check(where, [_width(spec, make_rules(spec), stem, first)])
        return spec

    return Family(spellings, read_spec, make_rules, reference, head)


def _width(spec: ModelSpec, rules: Sequence[Rule], stem: str, first: torch.Tensor) -> Check:
    """Compare the outputs of the first convolution, by which the width of a network shows."""
    rule, match = next((rule, match) for rule in rules if (match := rule.pattern().fullmatch(stem)))
    wanted = flatten(get_model(spec).abstract()[0])[rule.target.format(**match.groupdict())].shape[-1]
    relative = "a narrower" if len(first) < wanted else "a wider"
    message = (
        f"its first convolution makes {{0}} channels, {spec.name}'s {{1}}: {relative} relative, which is not supported"
    )
    return len(first), wanted, message
