"""ShuffleNetV2: torchvision's names; its stages are numbered from 2."""

from gift_jax.models.shufflenet import STAGES

from ..rules import CONV, LINEAR, Rule, affine, batch_norm, conv_norm
from .base import Family


def _layer(source: str, place: int, target: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{source}.{place}.weight", f"{target}/conv/kernel", CONV),
        *batch_norm(f"{source}.{place + 1}", f"{target}/norm"),
    )


RULES = (
    *conv_norm("conv1", "stem"),
    *(
        rule
        for stage in range(len(STAGES))
        for branch, place, name in (
            ("branch1", 0, "side_filter"),
            ("branch1", 2, "side_project"),
            ("branch2", 0, "expand"),
            ("branch2", 3, "filter"),
            ("branch2", 5, "project"),
        )
        for rule in _layer(f"stage{stage + 2}.{{b}}.{branch}", place, f"stages/{stage}/{{b}}/{name}")
    ),
    *conv_norm("conv5", "head"),
    *affine("fc", "fc", LINEAR),
)
FAMILY = Family(RULES)
