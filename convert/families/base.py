"""What conversion needs to know about a family."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import nn

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model
from gift_jax.teachers.teacher import flatten

from ..rules import Rule, name_in_file
from ..vision import load_torchvision_models
from .spelling import Spelling, State

Options = Mapping[str, int | float | str]
CHANNELS = "takes {0}-channel images, but the dataset's have {1}; check --dataset"
CLASSES = "has {0} outputs, but the dataset has {1} classes; check --dataset"
OTHER_MODEL = "the file holds a {0}, but --model is {1}; give the model that was trained"
MORE_CLASSES = f"{CLASSES}, or give --rows, the outputs of the dataset's {{1}} classes in its order"


def torchvision_module(spec: ModelSpec, **options: int) -> nn.Module:
    """torchvision's module of that name, with its initial distribution."""
    return getattr(load_torchvision_models(), spec.name)(weights=None, num_classes=spec.num_classes, **options)


class Family(NamedTuple):
    """How a family's weights are read.

    table: its rules, or spec -> rules; the first is that of the first convolution's weights, the last that of the last
    linear layer's biases: these two layers tell channels and classes. reference: spec -> the PyTorch module. spellings:
    other code's names of the same weights. read_options: (file name, requested spec, state) -> the options that the
    weights tell, of which a spec names those that are not the defaults; it refuses weights that contradict the spec.
    """

    table: Sequence[Rule] | Callable[[ModelSpec], Sequence[Rule]]
    reference: Callable[[ModelSpec], nn.Module] = torchvision_module
    spellings: Sequence[Spelling] = ()
    read_options: Callable[[str, ModelSpec, State], Options] = lambda where, spec, state: dict(spec.options)
    defaults: Mapping[str, int | float | str] = {}

    def rules(self, spec: ModelSpec) -> Sequence[Rule]:
        """The rule table of a spec."""
        return self.table(spec) if callable(self.table) else self.table

    def head(self, spec: ModelSpec) -> str:
        """The name of the last linear layer."""
        return self.rules(spec)[-1].source.removesuffix(".bias")

    def read_spec(self, where: str, spec: ModelSpec, state: State) -> ModelSpec:
        """The spec with the options that the weights tell. Raises: GiftError where they contradict it."""
        stem, head = _first_name(self.rules(spec)[0].source), f"{self.head(spec)}.weight"
        first, last = state.get(stem), state.get(head)
        if first is None or last is None or first.ndim != 4 or last.ndim != 2 or not len(first):
            raise GiftError(f"{where}: holds no {spec.name} ({stem}, {head}){_beginning(state)}; check --model")
        compare(where, first.shape[1], spec.channels, CHANNELS)
        told, classes = self.read_options(where, spec, state), last.shape[0]
        compare(where, classes, spec.num_classes, MORE_CLASSES if classes > spec.num_classes else CLASSES)
        stated = sorted((name, value) for name, value in told.items() if value != self.defaults.get(name))
        spec = dataclasses.replace(spec, options=tuple(stated))
        width = flatten(get_model(spec).abstract()[0])[_first_name(self.rules(spec)[0].target)].shape[-1]
        relative = f"a {'narrower' if len(first) < width else 'wider'} relative, which is not supported"
        message = f"its first convolution makes {{0}} channels, {spec.name}'s {{1}}: {relative}"
        compare(where, len(first), width, message)
        return spec


def _first_name(template: str) -> str:
    """Of the names that a template stands for, the first."""
    return re.sub(r"\{\w+\}", "0", template)


def compare(where: str, stored: object, expected: object, message: str) -> None:
    """Raises: GiftError with the message, a template of both values, if they differ."""
    if stored != expected:
        raise GiftError(f"{where}: {message.format(stored, expected)}")


def _beginning(state: State) -> str:
    """What a state dict holds instead of what was asked for: the first of its names, for a sentence."""
    names = ", ".join(f"{name_in_file(name, tensor)} {list(tensor.shape)}" for name, tensor in list(state.items())[:2])
    return f", but {len(state)} tensor{'s' * (len(state) != 1)}: {names}" + ", ..." * (len(state) > 2)
