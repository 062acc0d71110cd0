"""VGG: torchvision's names, which number convolutions, activations and pools together, and timm's."""

import torch

from gift_jax.models import ModelSpec

from ..rules import CONV, LINEAR, affine, flattened
from .base import Family
from .spelling import Arrays, Spelling, State

_PLACES = (0, 3, 6, 8, 11, 13, 16, 18)  # of the convolutions: each is followed by a ReLU, each part by a pool
RULES = (
    *(rule for i, n in enumerate(_PLACES) for rule in affine(f"features.{n}", f"convs/{i}", CONV)),
    *affine("classifier.0", "fc1", flattened(512)),
    *affine("classifier.3", "fc2", LINEAR),
    *affine("classifier.6", "fc3", LINEAR),
)


def _flat(state: State) -> dict[str, torch.Tensor]:
    """timm has linear layers as convolutions over the last feature map, whose weights flatten as torchvision's map."""
    return {
        name: tensor.flatten(1) if name.startswith("classifier.") and tensor.ndim == 4 else tensor
        for name, tensor in state.items()
    }


def _too_large(spec: ModelSpec) -> str:
    larger = (
        "timm's VGG averages logits over images larger than 224 pixels, torchvision's features; give --image-size 224"
    )
    return larger if spec.image_size // 32 > 7 else ""


def _as_convolutions(arrays: Arrays) -> Arrays:
    sides = {"classifier.0.weight": 7, "classifier.3.weight": 1}
    return {
        name: array.reshape(len(array), -1, sides[name], sides[name]) if name in sides else array
        for name, array in arrays.items()
    }


_NAMES = {"pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3.", "head.fc.": "classifier.6."}
TIMM = Spelling(_NAMES, _flat, _too_large, _as_convolutions)
FAMILY = Family(RULES, spellings=(TIMM,))
