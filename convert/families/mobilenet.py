"""MobileNetV2: torchvision's names."""

from ..rules import CONV, LINEAR, Rule, affine, batch_norm, conv_norm
from .base import torchvision_family

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
FAMILY = torchvision_family(RULES, stem="features.0.0.weight", head="classifier.1.weight")
