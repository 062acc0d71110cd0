"""MobileNetV2: torchvision's names, and timm's."""

from ..rules import LINEAR, Rule, affine, conv_norm
from .base import Family
from .spelling import Spelling

STAGE_BLOCKS = (1, 2, 3, 4, 3, 3, 1)


def _block(number: int) -> tuple[Rule, ...]:
    # torchvision numbers a block's layers; in the first one, which does not expand, they come one place earlier.
    source, target, first = f"features.{number + 1}.conv", f"blocks/{number}", 1 if number else 0
    return (
        *(conv_norm(f"{source}.0", f"{target}/expand") if number else ()),
        *conv_norm(f"{source}.{first}", f"{target}/filter"),
        *conv_norm(source, f"{target}/project", first + 1),
    )


RULES = (
    *conv_norm("features.0", "stem"),
    *(rule for number in range(sum(STAGE_BLOCKS)) for rule in _block(number)),
    *conv_norm("features.18", "head"),
    *affine("classifier.1", "classifier", LINEAR),
)


def _names() -> dict[str, str]:
    table = {"conv_stem.": "features.0.0.", "bn1.": "features.0.1.", "classifier.": "classifier.1."}
    table |= {"conv_head.": "features.18.0.", "bn2.": "features.18.1."}
    first = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
    other = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
    places = [(stage, block) for stage, blocks in enumerate(STAGE_BLOCKS) for block in range(blocks)]
    for number, (stage, block) in enumerate(places, 1):
        for old, new in (first if number == 1 else other).items():
            table[f"blocks.{stage}.{block}.{old}."] = f"features.{number}.conv.{new}."
    return table


TIMM = Spelling(_names())
FAMILY = Family(RULES, spellings=(TIMM,))
