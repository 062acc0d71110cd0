"""Families of architectures: one file each, with a rule table, and one line in `FAMILIES`."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from gift_jax.errors import GiftError
from gift_jax.models import MODELS
from gift_jax.models.resnet import STAGES

from . import alexnet, convnet, convnext, efficientnet, mobilenet, resnet, shufflenet, swin, vgg, vit
from .base import Family

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        r"conv[1-9]": convnet.FAMILY,
        rf"resnet({'|'.join(map(str, STAGES))})(_modified)?": resnet.FAMILY,
        r"alexnet": alexnet.FAMILY,
        r"vgg11": vgg.FAMILY,
        r"mobilenet_v2": mobilenet.FAMILY,
        r"efficientnet_b0": efficientnet.FAMILY,
        r"shufflenet_v2_x0_5": shufflenet.FAMILY,
        r"convnext_tiny": convnext.FAMILY,
        r"vit_b_16": vit.FAMILY,
        r"swin_v2_t": swin.FAMILY,
    }
)


def find_family(model: str) -> Family:
    """The family of a model's name. Raises: GiftError if there is none."""
    for pattern, family in FAMILIES.items():
        if re.fullmatch(pattern, model):
            return family
    raise GiftError(f"--model {model!r} is unknown; known are {', '.join(MODELS)}")
