"""EfficientNet: torchvision's names, stage by stage."""

from collections.abc import Iterator

from gift_jax.models.efficientnet import STAGES

from ..rules import CONV, LINEAR, Rule, affine, conv_norm
from .base import torchvision_family


def _block(source: str, target: str, *, expands: bool) -> tuple[Rule, ...]:
    # torchvision numbers a block's layers; without expansion the others come one place earlier.
    first = 1 if expands else 0
    return (
        *(conv_norm(f"{source}.0", f"{target}/expand") if expands else ()),
        *conv_norm(f"{source}.{first}", f"{target}/filter"),
        *affine(f"{source}.{first + 1}.fc1", f"{target}/excite/reduce", CONV),
        *affine(f"{source}.{first + 1}.fc2", f"{target}/excite/expand", CONV),
        *conv_norm(f"{source}.{first + 2}", f"{target}/project"),
    )


def _blocks() -> Iterator[Rule]:
    number = 0
    for stage, (expansion, _, _, _, repeats) in enumerate(STAGES, 1):
        for place in range(repeats):
            yield from _block(f"features.{stage}.{place}.block", f"blocks/{number}", expands=expansion != 1)
            number += 1


RULES = (
    *conv_norm("features.0", "stem"),
    *_blocks(),
    *conv_norm(f"features.{len(STAGES) + 1}", "head"),
    *affine("classifier.1", "classifier", LINEAR),
)
FAMILY = torchvision_family(RULES, stem="features.0.0.weight", head="classifier.1.weight")
