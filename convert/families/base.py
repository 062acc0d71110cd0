"""What conversion needs to know about a family."""

import dataclasses
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
Check = tuple[object, object, str]
"""(found, wanted, message), the message a template of the first two."""

CHANNELS = "takes {0}-channel images, but the dataset's have {1}; check --dataset"
CLASSES = "has {0} outputs, but the dataset has {1} classes; check --dataset"
MORE_CLASSES = f"{CLASSES}, or give --rows, the outputs of the dataset's {{1}} classes in its order"


def torchvision_module(spec: ModelSpec, **options: int) -> nn.Module:
    """torchvision's module of that name, with its initial distribution."""
    return getattr(load_torchvision_models(), spec.name)(weights=None, num_classes=spec.num_classes, **options)


class Family(NamedTuple):
    """How a family's weights are read.

    table: its rules, or spec -> rules. stem and head: names of the first convolution's weights and of the last linear
    layer, which tell channels and classes. reference: spec -> the PyTorch module. spellings: other code's names of the
    same weights. checks: the family's own. read_options: (file name, requested spec, state) -> the options that the
    weights tell, of which a spec names those that are not the defaults.
    """

    table: Sequence[Rule] | Callable[[ModelSpec], Sequence[Rule]]
    stem: str
    head: str
    reference: Callable[[ModelSpec], nn.Module] = torchvision_module
    spellings: Sequence[Spelling] = ()
    checks: Callable[[ModelSpec, State], Sequence[Check]] = lambda spec, state: ()
    read_options: Callable[[str, ModelSpec, State], Options] = lambda where, spec, state: dict(spec.options)
    defaults: Mapping[str, int | float | str] = {}

    def rules(self, spec: ModelSpec) -> Sequence[Rule]:
        """The rule table of a spec."""
        return self.table(spec) if callable(self.table) else self.table

    def read_spec(self, where: str, spec: ModelSpec, state: State) -> ModelSpec:
        """The spec with the options that the weights tell. Raises: GiftError where they contradict it."""
        first, last = state.get(self.stem), state.get(f"{self.head}.weight")
        if first is None or last is None or first.ndim != 4 or last.ndim != 2 or not len(first):
            wanted = f"{self.stem}, {self.head}.weight"
            raise GiftError(f"{where}: holds no {spec.name} ({wanted}){_beginning(state)}; check --model")
        known = (
            (first.shape[1], spec.channels, CHANNELS),
            *self.checks(spec, state),
            (last.shape[0], spec.num_classes, MORE_CLASSES if last.shape[0] > spec.num_classes else CLASSES),
        )
        _compare(where, known)
        told = self.read_options(where, spec, state)
        stated = sorted((name, value) for name, value in told.items() if value != self.defaults.get(name))
        spec = dataclasses.replace(spec, options=tuple(stated))
        rule, match = next((rule, match) for rule in self.rules(spec) if (match := rule.pattern().fullmatch(self.stem)))
        width = flatten(get_model(spec).abstract()[0])[rule.target.format(**match.groupdict())].shape[-1]
        relative = f"a {'narrower' if len(first) < width else 'wider'} relative, which is not supported"
        message = f"its first convolution makes {{0}} channels, {spec.name}'s {{1}}: {relative}"
        _compare(where, [(len(first), width, message)])
        return spec


def _compare(where: str, checks: Sequence[Check]) -> None:
    for found, wanted, message in checks:
        if found != wanted:
            raise GiftError(f"{where}: {message.format(found, wanted)}")


def _beginning(state: State) -> str:
    """What a state dict holds instead of what was asked for: the first of its names, for a sentence."""
    names = ", ".join(f"{name_in_file(name, tensor)} {list(tensor.shape)}" for name, tensor in list(state.items())[:2])
    return f", but {len(state)} tensor{'s' * (len(state) != 1)}: {names}" + ", ..." * (len(state) > 2)
