"""ConvNeXt: torchvision's names, which number stem, stages and halvings together."""

from gift_jax.models.convnext import STAGES

from ..rules import CHW, CONV, LINEAR, Rule, affine, norm
from .base import torchvision_family


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
FAMILY = torchvision_family(RULES, stem="features.0.0.weight", head="classifier.2.weight")
