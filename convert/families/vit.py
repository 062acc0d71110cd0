"""ViT: torchvision's names, the older ones that its released files still have, and timm's."""

from gift_jax.models import ModelSpec
from gift_jax.models.vit import PATCH

from ..rules import CONV, LINEAR, Rule, affine, norm
from .base import Family, Options, compare, torchvision_module
from .spelling import Spelling, State

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


# Of files from before torchvision 0.14, such as its IMAGENET1K_V1 weights.
OLDER = Spelling({f"{_BLOCK}.mlp.linear_1.": f"{_BLOCK}.mlp.0.", f"{_BLOCK}.mlp.linear_2.": f"{_BLOCK}.mlp.3."})
TIMM = Spelling(
    {
        "patch_embed.proj.": "conv_proj.",
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        "blocks.{i}.norm1.": f"{_BLOCK}.ln_1.",
        "blocks.{i}.attn.qkv.": f"{_BLOCK}.self_attention.in_proj_",
        "blocks.{i}.attn.proj.": f"{_BLOCK}.self_attention.out_proj.",
        "blocks.{i}.norm2.": f"{_BLOCK}.ln_2.",
        "blocks.{i}.mlp.fc1.": f"{_BLOCK}.mlp.0.",
        "blocks.{i}.mlp.fc2.": f"{_BLOCK}.mlp.3.",
        "norm.": "encoder.ln.",
        "head.": "heads.head.",
    }
)


def _read_options(where: str, spec: ModelSpec, state: State) -> Options:
    found = state["encoder.pos_embedding"].shape[1] if "encoder.pos_embedding" in state else None
    message = f"its position embedding has {{0}} tokens, but {spec.image_size} pixels give {{1}}; check --image-size"
    compare(where, found, (spec.image_size // PATCH) ** 2 + 1, message)
    return dict(spec.options)


FAMILY = Family(
    RULES,
    reference=lambda spec: torchvision_module(spec, image_size=spec.image_size),
    spellings=(OLDER, TIMM),
    read_options=_read_options,
)
