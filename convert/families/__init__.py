"""Families of architectures: one file each, with a rule table, and one line in `FAMILIES`."""

import re
from collections.abc import Mapping

from gift_jax.errors import GiftError
from gift_jax.models import MODELS
from gift_jax.models.resnet import STAGES
from gift_jax.models.resnet_cifar import DEPTHS

from . import (
    alexnet,
    convnet,
    convnext,
    efficientnet,
    mobilenet,
    resnet,
    resnet_ap,
    resnet_cifar,
    shufflenet,
    swin,
    vgg,
    vit,
)
from .base import Family
from .spelling import OFFICIAL, Spelling

FAMILIES: Mapping[str, Family] = {
    r"conv[1-9]": convnet.FAMILY,
    rf"resnet({'|'.join(map(str, STAGES))})(_modified)?": resnet.FAMILY,
    rf"resnet({'|'.join(map(str, DEPTHS))})": resnet_cifar.FAMILY,
    r"resnet_ap10": resnet_ap.FAMILY,
    r"alexnet": alexnet.FAMILY,
    r"vgg11": vgg.FAMILY,
    r"mobilenet_v2": mobilenet.FAMILY,
    r"efficientnet_b0": efficientnet.FAMILY,
    r"shufflenet_v2_x0_5": shufflenet.FAMILY,
    r"convnext_tiny": convnext.FAMILY,
    r"vit_b_16": vit.FAMILY,
    r"swin_v2_t": swin.FAMILY,
    r"swinv2_tiny_window8_256": swin.WINDOW_8,
}
# What timm has, too, so that it reads what is written here: its name, and its spelling.
TIMM: Mapping[str, tuple[str, Spelling]] = {
    **{f"resnet{depth}": (f"resnet{depth}", OFFICIAL) for depth in STAGES},
    "vgg11": ("vgg11", vgg.TIMM),
    "mobilenet_v2": ("mobilenetv2_100", mobilenet.TIMM),
    "efficientnet_b0": ("efficientnet_b0", efficientnet.TIMM),
    "convnext_tiny": ("convnext_tiny", convnext.TIMM),
    "vit_b_16": ("vit_base_patch16_224", vit.TIMM),
    "swin_v2_t": ("swinv2_tiny_window8_256", swin.TIMM),
}
# By timm's names, where these are others. A Swin's weights do not tell its windows; the name does.
ALIASES: Mapping[str, str] = {name: ours for ours, (name, _) in TIMM.items() if name != ours}
# timm's networks with the names and shapes of ours and other mathematics, which only `arch` in a file can tell, or
# `architecture` in the config.json beside it, as hubs have it.
LOOKALIKES: Mapping[str, str] = {
    r"tf_.*": "pads and normalises as TensorFlow does",
    r"resnet(blur|aa)\d.*": "blurs where it halves the image",
    r"swinv2_tiny_window(?!8_256).*": "has windows of another size",
}
# What is taken for granted of weights that look alike, where no file tells.
ASSUMPTIONS: Mapping[str, str] = {
    "efficientnet_b0": "padding as torchvision has it; timm's tf_efficientnet_b0 has the same names and another one"
}


def find_family(model: str) -> Family:
    """The family of a model's name. Raises: GiftError if there is none."""
    for name in (model, ALIASES.get(model, model)):
        for pattern, family in FAMILIES.items():
            if re.fullmatch(pattern, name):
                return family
    raise GiftError(f"the architecture {model!r} is unknown; known are {', '.join((*MODELS, *ALIASES))}")


def official_name(model: str) -> str:
    """This library's name of an architecture, by that or by timm's."""
    return ALIASES.get(model, model)


def check_arch(where: str, arch: object) -> None:
    """Compare what a file says of its architecture with networks that ours would be mistaken for. Raises: GiftError."""
    for pattern, difference in LOOKALIKES.items():
        if isinstance(arch, str) and re.fullmatch(pattern, arch):
            raise GiftError(f"{where}: holds a {arch}, which {difference} and is not converted; train another network")
