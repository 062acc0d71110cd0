"""Swin-V2: torchvision's names, which number stem, stages and merges together, and its two tables a block; timm's."""

import numpy as np
import torch

from gift_jax.models import ModelSpec
from gift_jax.models.swin import STAGES, relative_coordinates, relative_positions

from ..rules import CONV, LINEAR, Rule, affine, norm
from .base import Family
from .spelling import Arrays, Spelling, State

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


def _names() -> dict[str, str]:
    table = {"patch_embed.proj.": "features.0.0.", "patch_embed.norm.": "features.0.2.", "head.fc.": "head."}
    for number in range(len(STAGES)):
        source, target = f"layers.{number}.blocks.{{b}}", f"features.{2 * number + 1}.{{b}}"
        table |= {f"{source}.mlp.fc1.": f"{target}.mlp.0.", f"{source}.mlp.fc2.": f"{target}.mlp.3."}
        table |= {f"{source}.": f"{target}.", f"layers.{number}.downsample.": f"features.{2 * number}."}
    return table


def _with_whole_biases(state: State) -> dict[str, torch.Tensor]:
    """timm stores no bias of the keys, which is zero in torchvision too, and no tables."""
    whole = {name: tensor for name, tensor in state.items() if not name.endswith((".q_bias", ".v_bias"))}
    for name, query in state.items():
        block, _, last = name.rpartition(".")
        if last == "q_bias" and (value := state.get(f"{block}.v_bias")) is not None:
            whole[f"{block}.qkv.bias"] = torch.cat([query, torch.zeros_like(query), value])
            whole |= {f"{block}.{table}": torch.from_numpy(array) for table, array in TABLES.items()}
    return whole


def _with_parts_of_biases(arrays: Arrays) -> Arrays:
    parts: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        block, _, last = name.rpartition(".qkv.")
        if last == "bias":
            parts[f"{block}.q_bias"], _, parts[f"{block}.v_bias"] = np.split(array, 3)
        elif not name.endswith(tuple(TABLES)):
            parts[name] = array
    return parts


def _other_windows(spec: ModelSpec) -> str:
    cut = "timm's Swin-V2 cuts windows otherwise than torchvision's unless the side is a multiple of 256 pixels"
    return f"{cut}; give --image-size 256" if spec.image_size % 256 else ""


def _unknown_window(spec: ModelSpec) -> str:
    return (
        "its names are timm's, which do not tell the size of the windows; "
        "give --model swinv2_tiny_window8_256 if that is what was trained (windows of 16 are not torchvision's)"
    )


TIMM = Spelling(_names(), _with_whole_biases, _other_windows, _with_parts_of_biases)
FAMILY = Family(RULES, spellings=(TIMM._replace(refusal=_unknown_window),))
WINDOW_8 = FAMILY._replace(spellings=(TIMM,))
