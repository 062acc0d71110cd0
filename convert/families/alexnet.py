"""AlexNet: torchvision's names."""

from ..rules import CONV, LINEAR, affine, flattened
from .base import Family

RULES = (
    *(rule for i, n in enumerate((0, 3, 6, 8, 10), 1) for rule in affine(f"features.{n}", f"conv{i}", CONV)),
    *affine("classifier.1", "fc1", flattened(256)),
    *affine("classifier.4", "fc2", LINEAR),
    *affine("classifier.6", "fc3", LINEAR),
)
FAMILY = Family(RULES)
