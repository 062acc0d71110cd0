"""Other code's names for the same weights: a table for each, and the choice of the one that a file is written in."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from gift_jax.models import ModelSpec

from ..rules import Rule, as_pattern

State = Mapping[str, torch.Tensor]
Arrays = Mapping[str, np.ndarray]
# How many attributes deep a network may lie in the object that was saved, as in `model.net.conv1.weight`.
DEEPEST = 4


class Spelling(NamedTuple):
    """How some code names a family's weights.

    table: how names begin there and officially, `{i}` a number; or state dict -> such a table. adapt: what is stored in
    another form, under official names, to the official form; restore: the inverse. refusal: spec -> why weights in this
    spelling cannot be taken for it, or nothing.
    """

    table: Mapping[str, str] | Callable[[State], Mapping[str, str]]
    adapt: Callable[[State], dict[str, torch.Tensor]] = dict
    refusal: Callable[[ModelSpec], str] = lambda spec: ""
    restore: Callable[[Arrays], Arrays] = lambda arrays: arrays

    def official(self, state: State) -> dict[str, torch.Tensor]:
        """A state dict under official names, fewer where two weights have the same one."""
        rename = _renaming(self.table(state) if callable(self.table) else self.table)
        return {rename(name): tensor for name, tensor in state.items()}

    def back(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Arrays under official names in this spelling; where two are officially the same, the first is written."""
        inverse: dict[str, str] = {}
        for old, new in (self.table({}) if callable(self.table) else self.table).items():
            inverse.setdefault(new, old)
        rename = _renaming(inverse)
        return {rename(name): array for name, array in self.restore(arrays).items()}


def _renaming(table: Mapping[str, str]) -> Callable[[str], str]:
    patterns = [(as_pattern(old), new) for old, new in table.items()]

    def rename(name: str) -> str:
        for pattern, new in patterns:
            if match := pattern.match(name):
                return new.format(**match.groupdict()) + name[match.end() :]
        return name

    return rename


OFFICIAL = Spelling({})


class Reading(NamedTuple):
    """A state dict under official names as one spelling has them, and how many of them are the family's."""

    spelling: Spelling
    state: State
    known: int


def nearest(state: State, rules: Sequence[Rule], spellings: Sequence[Spelling]) -> Reading:
    """The spelling, and the shared prefix left out, under which most names are official; of equals the plainer one."""
    known = re.compile("|".join(re.sub(r"\?P<\w+>", "?:", as_pattern(rule.source).pattern) for rule in rules))
    readings = [
        Reading(spelling, official, sum(bool(known.fullmatch(name)) for name in official))
        for rest in _without_shared_prefixes(state)
        for spelling in (OFFICIAL, *spellings)
        if len(official := spelling.official(rest)) == len(rest)
    ]
    return max(readings, key=lambda reading: reading.known)


def _without_shared_prefixes(state: State) -> list[State]:
    """The state dict as it is, and without the first attributes, as many as all names share."""
    found = [state]
    for _ in range(DEEPEST):
        rest = found[-1]
        if any("." not in name for name in rest) or len({name.partition(".")[0] for name in rest}) != 1:
            break
        found.append({name.partition(".")[2]: tensor for name, tensor in rest.items()})
    return found
