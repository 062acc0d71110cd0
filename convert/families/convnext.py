"""ConvNeXt: torchvision's names, which number stem, stages and halvings together, and timm's."""

import torch

from gift_jax.models.convnext import STAGES

from ..rules import CHW, CONV, LINEAR, Rule, affine, norm
from .base import Family
from .spelling import Arrays, Spelling, State


def _stage(number: int) -> tuple[Rule, ...]:
    source, target = f"features.{2 * number + 1}.{{b}}", f"stages/{number}/{{b}}"
    return (
        *affine(f"{source}.block.0", f"{target}/filter", CONV),
        *norm(f"{source}.block.2", f"{target}/norm"),
        *affine(f"{source}.block.3", f"{target}/expand", LINEAR),
        *affine(f"{source}.block.5", f"{target}/project", LINEAR),
        Rule(f"{source}.layer_scale", f"{target}/layer_scale", CHW),
    )


def _downsample(number: int) -> tuple[Rule, ...]:
    source, target = f"features.{2 * number + 2}", f"downsamples/{number}"
    return *norm(f"{source}.0", f"{target}/norm"), *affine(f"{source}.1", f"{target}/conv", CONV)


RULES = (
    *affine("features.0.0", "stem/conv", CONV),
    *norm("features.0.1", "stem/norm"),
    *(rule for number in range(len(STAGES)) for rule in _stage(number)),
    *(rule for number in range(len(STAGES) - 1) for rule in _downsample(number)),
    *norm("classifier.0", "norm"),
    *affine("classifier.2", "classifier", LINEAR),
)


def _names() -> dict[str, str]:
    table = {"stem.": "features.0.", "head.norm.": "classifier.0.", "head.fc.": "classifier.2."}
    for number in range(len(STAGES)):
        source, target = f"stages.{number}.blocks.{{b}}", f"features.{2 * number + 1}.{{b}}"
        parts = {"conv_dw.": "block.0.", "norm.": "block.2.", "mlp.fc1.": "block.3.", "mlp.fc2.": "block.5."}
        table |= {f"{source}.{old}": f"{target}.{new}" for old, new in parts.items()}
        table |= {f"{source}.gamma": f"{target}.layer_scale", f"stages.{number}.downsample.": f"features.{2 * number}."}
    return table


def _with_wide_scales(state: State) -> dict[str, torch.Tensor]:
    """timm's layer scales have no axes for the image, [C] for torchvision's [C, 1, 1]."""
    return {
        name: tensor[:, None, None] if name.endswith(".layer_scale") and tensor.ndim == 1 else tensor
        for name, tensor in state.items()
    }


def _with_flat_scales(arrays: Arrays) -> Arrays:
    return {name: array.ravel() if name.endswith(".layer_scale") else array for name, array in arrays.items()}


TIMM = Spelling(_names(), _with_wide_scales, restore=_with_flat_scales)
FAMILY = Family(RULES, spellings=(TIMM,))
