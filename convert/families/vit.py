"""ViT: torchvision's names, and the older ones that its released files still have."""

from collections.abc import Mapping

import torch
from torch import nn

from gift_jax.models import ModelSpec
from gift_jax.models.vit import PATCH

from ..rules import CONV, LINEAR, Rule, affine, norm
from ..vision import load_torchvision_models
from . import base

_BLOCK = "encoder.layers.encoder_layer_{i}"
RULES = (
    *affine("conv_proj", "patches", CONV),
    Rule("class_token", "class_token"),
    Rule("encoder.pos_embedding", "positions"),
    *norm(f"{_BLOCK}.ln_1", "blocks/{i}/norm1"),
    Rule(f"{_BLOCK}.self_attention.in_proj_weight", "blocks/{i}/qkv/kernel", LINEAR),
    Rule(f"{_BLOCK}.self_attention.in_proj_bias", "blocks/{i}/qkv/bias"),
    *affine(f"{_BLOCK}.self_attention.out_proj", "blocks/{i}/out", LINEAR),
    *norm(f"{_BLOCK}.ln_2", "blocks/{i}/norm2"),
    *affine(f"{_BLOCK}.mlp.0", "blocks/{i}/expand", LINEAR),
    *affine(f"{_BLOCK}.mlp.3", "blocks/{i}/project", LINEAR),
    *norm("encoder.ln", "norm"),
    *affine("heads.head", "head", LINEAR),
)


def normalise_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the linear layers of files from before torchvision 0.14, such as its IMAGENET1K_V1 weights."""
    older = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}

    def rename(name: str) -> str:
        for old, new in older.items():
            name = name.replace(old, new)
        return name

    return {rename(name): tensor for name, tensor in state.items()}


def checks(spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> tuple[base.Check, ...]:
    """The position embedding tells the input size."""
    found = state["encoder.pos_embedding"].shape[1] if "encoder.pos_embedding" in state else None
    message = f"its position embedding has {{0}} tokens, but {spec.image_size} pixels give {{1}}; check --image-size"
    return ((found, (spec.image_size // PATCH) ** 2 + 1, message),)


def reference(spec: ModelSpec) -> nn.Module:
    """torchvision's module for this input size, which its position embedding depends on."""
    return load_torchvision_models().vit_b_16(weights=None, num_classes=spec.num_classes, image_size=spec.image_size)


FAMILY = base.torchvision_family(
    RULES,
    stem="conv_proj.weight",
    head="heads.head.weight",
    reference=reference,
    normalise_names=normalise_names,
    checks=checks,
)
