"""ResNets: torchvision's names, which are timm's too, CIFAR code's, and RDED's modified stem."""

import dataclasses
import re

from torch import nn

from gift_jax.models import ModelSpec
from gift_jax.models.resnet_cifar import WIDTHS

from ..rules import CONV, LINEAR, Rule, affine, batch_norm
from .base import Family, Options, compare, torchvision_module
from .spelling import Spelling, State


def rules(*, stem: str = "", shortcut: str = "downsample", norm: int = 1, head: str = "fc") -> tuple[Rule, ...]:
    """The table of a ResNet. Args: stem, before its first layer's names; norm, the place of the norm in a shortcut."""
    return (
        Rule(f"{stem}conv1.weight", "stem/conv/kernel", CONV),
        *batch_norm(f"{stem}bn1", "stem/norm"),
        Rule("layer{s}.{b}.conv{c}.weight", "layer{s}/{b}/conv{c}/conv/kernel", CONV),
        *batch_norm("layer{s}.{b}.bn{c}", "layer{s}/{b}/conv{c}/norm"),
        Rule(f"layer{{s}}.{{b}}.{shortcut}.0.weight", f"layer{{s}}/{{b}}/{shortcut}/conv/kernel", CONV),
        *batch_norm(f"layer{{s}}.{{b}}.{shortcut}.{norm}", f"layer{{s}}/{{b}}/{shortcut}/norm"),
        *affine(head, head, LINEAR),
    )


# Of the most copied code for CIFAR, and of DC's, whose classifier has another name.
SHORTCUTS = tuple(
    Spelling({"layer{s}.{b}.shortcut.": "layer{s}.{b}.downsample.", f"{head}.": "fc."})
    for head in ("linear", "classifier")
)
_PLACES = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2", 6: "conv3", 7: "bn3"}
# Of the code that most CIFAR-100 networks are trained with, whose stages are numbered as in the paper.
STAGES_FROM_TWO = Spelling(
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
STEMS = {"": 7, "_modified": 3}  # pixels across the first convolution, by the end of the model's name


def _taken_apart(model: str) -> tuple[str, str]:
    """torchvision's name of the depth, and the stem of `STEMS`."""
    depth = model.removesuffix("_modified")
    return depth, model.removeprefix(depth)


def reference(spec: ModelSpec) -> nn.Module:
    """torchvision's module, with RDED's changes where the name ends in `_modified`."""
    depth, stem = _taken_apart(spec.name)
    module = torchvision_module(dataclasses.replace(spec, name=depth))
    if stem:
        module.conv1 = nn.Conv2d(spec.channels, 64, 3, stride=1, padding=1, bias=False)
        module.maxpool = nn.Identity()
    return module


def model_for_cifar(state: State) -> str:
    """The name of a ResNet for CIFAR, whose depth the blocks of its first stage tell."""
    blocks = sum(bool(re.fullmatch(r"layer1\.\d+\.conv1\.weight", name)) for name in state)
    return f"resnet{6 * blocks + 2}"


def _read_options(where: str, spec: ModelSpec, state: State) -> Options:
    """None are told; the width of the first convolution tells the stem, and its outputs a ResNet for CIFAR."""
    depth, stem = _taken_apart(spec.name)
    outputs, _, found, _ = state["conv1.weight"].shape
    small = outputs == WIDTHS[0] and not any(name.startswith("layer4.") for name in state)
    told = model_for_cifar(state) if small else spec.name
    other = next(
        (f"give --model {depth}{end}" for end, size in STEMS.items() if size == found), "such stems are not known"
    )
    compare(where, told, spec.name, "the file holds a {0} for CIFAR, of three stages; give --model {0}")
    wide = f"its first convolution is {{0}} pixels wide, {spec.name}'s is {{1}}; {other}"
    compare(where, found, STEMS[stem], wide)
    return dict(spec.options)


FAMILY = Family(rules(), reference=reference, spellings=(*SHORTCUTS, STAGES_FROM_TWO), read_options=_read_options)
