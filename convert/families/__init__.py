"""Families of architectures: one file each, with a rule table, and one line in `FAMILIES`."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from convert.families import convnet, resnet
from convert.rules import Rule
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec


class Family(NamedTuple):
    """What conversion needs to know about a family.

    normalise_names: other layouts' state dicts -> the official names (identity where there is one layout).
    read_spec: (file name, requested spec, state) -> the spec with the options that the weights tell; raises
    GiftError where they contradict it. rules: spec -> table. reference: spec -> the PyTorch module.
    """

    normalise_names: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
    read_spec: Callable[[str, ModelSpec, Mapping[str, np.ndarray]], ModelSpec]
    rules: Callable[[ModelSpec], Sequence[Rule]]
    reference: Callable[[ModelSpec], torch.nn.Module]


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        r"conv[1-9]": Family(convnet.normalise_names, convnet.read_spec, convnet.rules, convnet.Reference),
        r"resnet(18|34|50|101)(_modified)?": Family(
            resnet.normalise_names, resnet.read_spec, resnet.rules, resnet.reference
        ),
    }
)


def find_family(model: str) -> Family:
    """The family of a model's name. Raises: GiftError if there is none."""
    for pattern, family in FAMILIES.items():
        if re.fullmatch(pattern, model):
            return family
    raise GiftError(f"--model {model!r} is unknown; known are {', '.join(FAMILIES)}")
