"""ResNets: torchvision's names, and torchvision itself as the oracle."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from convert.rules import CONV, LINEAR, Rule, batch_norm
from convert.vision import load_torchvision_models
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec

RULES = (
    Rule("conv1.weight", "stem/conv/kernel", CONV),
    *batch_norm("bn1", "stem/norm"),
    Rule("layer{s}.{b}.conv{c}.weight", "layer{s}/{b}/conv{c}/conv/kernel", CONV),
    *batch_norm("layer{s}.{b}.bn{c}", "layer{s}/{b}/conv{c}/norm"),
    Rule("layer{s}.{b}.downsample.0.weight", "layer{s}/{b}/downsample/conv/kernel", CONV),
    *batch_norm("layer{s}.{b}.downsample.1", "layer{s}/{b}/downsample/norm"),
    Rule("fc.weight", "fc/kernel", LINEAR),
    Rule("fc.bias", "fc/bias"),
)


def rules(spec: ModelSpec) -> tuple[Rule, ...]:
    """The rule table, the same for every depth."""
    del spec
    return RULES


def normalise_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """torchvision has one layout."""
    return dict(state)


def read_spec(where: str, spec: ModelSpec, state: Mapping[str, np.ndarray]) -> ModelSpec:
    """Check stem, channels and classes against the request; the rule table checks the rest."""
    stem, last = state.get("conv1.weight"), state.get("fc.weight")
    if stem is None or last is None or stem.ndim != 4 or last.ndim != 2:
        raise GiftError(f"{where}: holds no ResNet (conv1.weight, fc.weight); check --model")
    kernel = 3 if spec.name.endswith("_modified") else 7
    checks = (
        (
            stem.shape[2],
            kernel,
            "its first convolution is {0} pixels wide, but --model has {1}; with or without _modified?",
        ),
        (stem.shape[1], spec.channels, "takes {0} channels, but the dataset has {1}; check --dataset"),
        (last.shape[0], spec.num_classes, "has {0} outputs, but the dataset has {1} classes; check --dataset"),
    )
    for found, wanted, message in checks:
        if found != wanted:
            raise GiftError(f"{where}: {message.format(found, wanted)}")
    return spec


def reference(spec: ModelSpec) -> nn.Module:
    """torchvision's module, with RDED's changes where the name ends in `_modified`."""
    name = spec.name.removesuffix("_modified")
    module = getattr(load_torchvision_models(), name)(weights=None, num_classes=spec.num_classes)
    if spec.name.endswith("_modified"):
        module.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        module.maxpool = nn.Identity()
    return module
