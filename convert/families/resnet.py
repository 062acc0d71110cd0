"""ResNets: torchvision's names, which are timm's too, CIFAR code's, and RDED's modified stem."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import nn

from gift_jax.models import ModelSpec

from ..rules import CONV, LINEAR, Rule, batch_norm
from . import base
from .spelling import Spelling, beginnings

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


# Of the most copied code for CIFAR, and of DC's, whose classifier has another name.
SHORTCUTS = tuple(
    Spelling(beginnings({"layer{s}.{b}.shortcut.": "layer{s}.{b}.downsample.", f"{head}.": "fc."}))
    for head in ("linear", "classifier")
)
_PLACES = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2", 6: "conv3", 7: "bn3"}
# Of the code that most CIFAR-100 networks are trained with, whose stages are numbered as in the paper.
STAGES_FROM_TWO = Spelling(
    beginnings(
        {
            "conv1.0.": "conv1.",
            "conv1.1.": "bn1.",
            **{
                f"conv{stage + 1}_x.{{b}}.residual_function.{place}.": f"layer{stage}.{{b}}.{layer}."
                for stage in range(1, 5)
                for place, layer in _PLACES.items()
            },
            **{f"conv{stage + 1}_x.{{b}}.shortcut.": f"layer{stage}.{{b}}.downsample." for stage in range(1, 5)},
        }
    )
)


def reference(spec: ModelSpec) -> nn.Module:
    """torchvision's module, with RDED's changes where the name ends in `_modified`."""
    module = base.reference(dataclasses.replace(spec, name=spec.name.removesuffix("_modified")))
    if spec.name.endswith("_modified"):
        module.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        module.maxpool = nn.Identity()
    return module


def checks(spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> tuple[base.Check, ...]:
    """The width of the first convolution tells whether the ResNet is a modified one."""
    message = "its first convolution is {0} pixels wide, {1} expected; with or without _modified in --model?"
    return ((state["conv1.weight"].shape[2], 3 if spec.name.endswith("_modified") else 7, message),)


FAMILY = base.torchvision_family(
    RULES, stem="conv1.weight", head="fc", reference=reference, spellings=(*SHORTCUTS, STAGES_FROM_TWO), checks=checks
)
