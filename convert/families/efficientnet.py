"""EfficientNet: torchvision's names, stage by stage, and timm's."""

from collections.abc import Iterator

from gift_jax.models.efficientnet import STAGES

from ..rules import CONV, LINEAR, Rule, affine, conv_norm
from .base import Family
from .spelling import Spelling

LAST = len(STAGES) + 1


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
    *conv_norm(f"features.{LAST}", "head"),
    *affine("classifier.1", "classifier", LINEAR),
)


def _names() -> dict[str, str]:
    """timm's beginnings of names, and torchvision's. timm's own networks, not its `tf_` ones (see `LOOKALIKES`)."""
    table = {"conv_stem.": "features.0.0.", "bn1.": "features.0.1.", "classifier.": "classifier.1."}
    table |= {"conv_head.": f"features.{LAST}.0.", "bn2.": f"features.{LAST}.1."}
    # Excitation stands between filter and projection.
    plain = {"conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2"}
    plain |= {"conv_pw": "2.0", "bn2": "2.1"}
    expanding = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1"}
    expanding |= {"se.conv_reduce": "2.fc1", "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1"}
    for stage, (expansion, *_) in enumerate(STAGES):
        for old, new in (plain if expansion == 1 else expanding).items():
            table[f"blocks.{stage}.{{b}}.{old}."] = f"features.{stage + 1}.{{b}}.block.{new}."
    return table


TIMM = Spelling(_names())
FAMILY = Family(RULES, spellings=(TIMM,))
