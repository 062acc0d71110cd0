"""MobileNetV2: torchvision's names, and timm's."""

from ..rules import CONV, LINEAR, Rule, affine, batch_norm, conv_norm
from .base import family
from .spelling import Spelling, beginnings, renamed

STAGE_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
# In torchvision's block 1, which does not expand, the other layers come one place earlier.
RULES = (
    *conv_norm("features.0", "stem"),
    *conv_norm("features.1.conv.0", "blocks/0/filter"),
    Rule("features.1.conv.1.weight", "blocks/0/project/conv/kernel", CONV),
    *batch_norm("features.1.conv.2", "blocks/0/project/norm"),
    *(
        rule
        for block in range(1, 17)
        for rule in (
            *conv_norm(f"features.{block + 1}.conv.0", f"blocks/{block}/expand"),
            *conv_norm(f"features.{block + 1}.conv.1", f"blocks/{block}/filter"),
            Rule(f"features.{block + 1}.conv.2.weight", f"blocks/{block}/project/conv/kernel", CONV),
            *batch_norm(f"features.{block + 1}.conv.3", f"blocks/{block}/project/norm"),
        )
    ),
    *conv_norm("features.18", "head"),
    *affine("classifier.1", "classifier", LINEAR),
)


def _names() -> dict[str, str]:
    ends = {
        "conv_stem.": "features.0.0.",
        "bn1.": "features.0.1.",
        "conv_head.": "features.18.0.",
        "bn2.": "features.18.1.",
    }
    first = {"conv_dw.": "0.0.", "bn1.": "0.1.", "conv_pw.": "1.", "bn2.": "2."}
    other = {"conv_pw.": "0.0.", "bn1.": "0.1.", "conv_dw.": "1.0.", "bn2.": "1.1.", "conv_pwl.": "2.", "bn3.": "3."}
    places = [(stage, block) for stage, blocks in enumerate(STAGE_BLOCKS) for block in range(blocks)]
    return {
        **ends,
        "classifier.": "classifier.1.",
        **{
            f"blocks.{stage}.{block}.{old}": f"features.{number}.conv.{new}"
            for number, (stage, block) in enumerate(places, 1)
            for old, new in (first if number == 1 else other).items()
        },
    }


TIMM = Spelling(beginnings(_names()), back=renamed(_names()))
FAMILY = family(RULES, stem="features.0.0.weight", head="classifier.1", spellings=(TIMM,))
