"""Other code's names for the same weights: a table for each, and the choice of the one that a file is written in."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec

from ..rules import Rule, as_pattern

State = Mapping[str, torch.Tensor]
# How many attributes deep a network may lie in the object that was saved, as in `model.net.conv1.weight`.
DEEPEST = 4


class Spelling(NamedTuple):
    """How some code names a family's weights.

    names: state dict -> the official name of each of its names. adapt: what is stored in another form, under official
    names, to the official form. refusal: spec -> why weights in this spelling cannot be taken for it, or nothing.
    back: arrays under official names -> in this spelling, where it is written, too.
    """

    names: Callable[[State], dict[str, str]]
    adapt: Callable[[State], dict[str, torch.Tensor]] = dict
    refusal: Callable[[ModelSpec], str] = lambda spec: ""
    back: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] = dict


def beginnings(table: Mapping[str, str]) -> Callable[[State], dict[str, str]]:
    """The `names` of a table of how names begin there and officially; `{i}` stands for a number."""
    rename = _renaming(table)
    return lambda state: {name: rename(name) for name in state}


def _renaming(table: Mapping[str, str]) -> Callable[[str], str]:
    patterns = [(as_pattern(old), new) for old, new in table.items()]

    def rename(name: str) -> str:
        found = ((pattern.match(name), new) for pattern, new in patterns)
        match, new = next(((match, new) for match, new in found if match), (None, ""))
        return new.format(**match.groupdict()) + name[match.end() :] if match else name

    return rename


def renamed(table: Mapping[str, str]) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """The `back` of a table of beginnings; where two stand for the same official one, the first is written."""
    inverse: dict[str, str] = {}
    for old, new in table.items():
        inverse.setdefault(new, old)
    rename = _renaming(inverse)
    return lambda state: {rename(name): array for name, array in state.items()}


OFFICIAL = Spelling(beginnings({}))


class Reading(NamedTuple):
    """A state dict without a prefix that all of its names share, and official names by its own."""

    state: State
    names: Mapping[str, str]
    spelling: Spelling


def nearest(state: State, rules: Sequence[Rule], spellings: Sequence[Spelling]) -> tuple[Reading, int]:
    """The prefix and the spelling under which most names are official, and their number; of equals the plainer one.

    One that gives two weights the same name is none.
    """
    official = _any_of(rule.source for rule in rules)
    readings = [
        Reading(rest, spelling.names(rest), spelling)
        for rest in _without_shared_prefixes(state)
        for spelling in (OFFICIAL, *spellings)
    ]
    readings = [reading for reading in readings if len(set(reading.names.values())) == len(reading.names)]
    counts = [sum(bool(official.fullmatch(name)) for name in reading.names.values()) for reading in readings]
    best = counts.index(max(counts))
    return readings[best], counts[best]


def in_official_names(
    where: str, spec: ModelSpec, state: State, rules: Sequence[Rule], spellings: Sequence[Spelling]
) -> dict[str, torch.Tensor]:
    """A state dict under the official names, as far as a spelling of it is known; the rules then check them all."""
    reading = nearest(state, rules, spellings)[0]
    if reason := reading.spelling.refusal(spec):
        raise GiftError(f"{where}: {reason}")
    return reading.spelling.adapt({new: reading.state[name] for name, new in reading.names.items()})


def _any_of(templates: Iterable[str]) -> re.Pattern[str]:
    patterns = (re.sub(r"\?P<\w+>", "?:", as_pattern(template).pattern) for template in templates)
    return re.compile("|".join(patterns))


def _without_shared_prefixes(state: State) -> list[State]:
    """The state dict as it is, and without the first attributes, as many as all names share."""
    found, rest = [state], state
    for _ in range(DEEPEST):
        if any("." not in name for name in rest) or len({name.partition(".")[0] for name in rest}) != 1:
            break
        rest = {name.partition(".")[2]: tensor for name, tensor in rest.items()}
        found.append(rest)
    return found
