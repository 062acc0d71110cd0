"""ShuffleNetV2: torchvision's names; its stages are numbered from 2."""

from gift_jax.models.shufflenet import STAGES

from ..rules import LINEAR, affine, conv_norm
from .base import Family

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
        for rule in conv_norm(f"stage{stage + 2}.{{b}}.{branch}", f"stages/{stage}/{{b}}/{name}", place)
    ),
    *conv_norm("conv5", "head"),
    *affine("fc", "fc", LINEAR),
)
FAMILY = Family(RULES)
