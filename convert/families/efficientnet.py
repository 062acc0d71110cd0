"""EfficientNet: torchvision's names, stage by stage, and timm's."""

from collections.abc import Iterator

from gift_jax.models.efficientnet import STAGES

from ..rules import CONV, LINEAR, Rule, affine, conv_norm
from .base import family
from .spelling import Spelling, beginnings, renamed


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


def _names() -> dict[str, str]:
    """timm's beginnings of names, and torchvision's. timm's own networks, not its `tf_` ones (see `LOOKALIKES`)."""
    last = len(STAGES) + 1
    table = {"conv_stem.": "features.0.0.", "bn1.": "features.0.1.", "classifier.": "classifier.1."}
    table |= {"conv_head.": f"features.{last}.0.", "bn2.": f"features.{last}.1."}
    for stage, (expansion, *_) in enumerate(STAGES):
        first = 1 if expansion != 1 else 0
        layers = ["conv_pw", "conv_dw", "conv_pwl"] if first else ["conv_dw", "conv_pw"]
        # Excitation stands between filter and projection.
        places = [place if place <= first else place + 1 for place in range(len(layers))]
        source, target = f"blocks.{stage}.{{b}}", f"features.{stage + 1}.{{b}}.block"
        for place, (number, layer) in zip(places, enumerate(layers, 1), strict=True):
            table |= {f"{source}.{layer}.": f"{target}.{place}.0.", f"{source}.bn{number}.": f"{target}.{place}.1."}
        table |= {
            f"{source}.se.conv_reduce.": f"{target}.{first + 1}.fc1.",
            f"{source}.se.conv_expand.": f"{target}.{first + 1}.fc2.",
        }
    return table


TIMM = Spelling(beginnings(_names()), back=renamed(_names()))
FAMILY = family(RULES, stem="features.0.0.weight", head="classifier.1", spellings=(TIMM,))
