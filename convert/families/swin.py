"""Swin-V2: torchvision's names, which number stem, stages and merges together, and its two tables a block."""

from gift_jax.models.swin import STAGES, relative_coordinates, relative_positions

from ..rules import CONV, LINEAR, Rule, affine, norm
from .base import torchvision_family

TABLES = {"relative_coords_table": relative_coordinates(), "relative_position_index": relative_positions()}


def _stage(number: int) -> tuple[Rule, ...]:
    source, target = f"features.{2 * number + 1}.{{b}}", f"stages/{number}/{{b}}"
    return (
        *norm(f"{source}.norm1", f"{target}/norm1"),
        *norm(f"{source}.norm2", f"{target}/norm2"),
        Rule(f"{source}.attn.logit_scale", f"{target}/attention/logit_scale", buffers=TABLES),
        *affine(f"{source}.attn.qkv", f"{target}/attention/qkv", LINEAR),
        *affine(f"{source}.attn.proj", f"{target}/attention/project", LINEAR),
        *affine(f"{source}.attn.cpb_mlp.0", f"{target}/attention/positions1", LINEAR),
        Rule(f"{source}.attn.cpb_mlp.2.weight", f"{target}/attention/positions2/kernel", LINEAR),
        *affine(f"{source}.mlp.0", f"{target}/expand", LINEAR),
        *affine(f"{source}.mlp.3", f"{target}/project", LINEAR),
    )


def _merge(number: int) -> tuple[Rule, ...]:
    source, target = f"features.{2 * number + 2}", f"merges/{number}"
    return Rule(f"{source}.reduction.weight", f"{target}/reduce/kernel", LINEAR), *norm(
        f"{source}.norm", f"{target}/norm"
    )


RULES = (
    *affine("features.0.0", "stem/conv", CONV),
    *norm("features.0.2", "stem/norm"),
    *(rule for number in range(len(STAGES)) for rule in _stage(number)),
    *(rule for number in range(len(STAGES) - 1) for rule in _merge(number)),
    *norm("norm", "norm"),
    *affine("head", "head", LINEAR),
)
FAMILY = torchvision_family(RULES, stem="features.0.0.weight", head="head.weight")
