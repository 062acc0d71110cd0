"""VGG: torchvision's names, which number convolutions, activations and pools together."""

from collections.abc import Iterator

from gift_jax.models.vgg import PARTS

from ..rules import CONV, LINEAR, affine, flattened
from .base import torchvision_family


def _numbers(parts: tuple[tuple[int, ...], ...]) -> Iterator[int]:
    """Places of the convolutions in torchvision's `features`: each is followed by a ReLU, each part by a pool."""
    place = 0
    for part in parts:
        for _ in part:
            yield place
            place += 2
        place += 1


RULES = (
    *(rule for i, n in enumerate(_numbers(PARTS[11])) for rule in affine(f"features.{n}", f"convs/{i}", CONV)),
    *affine("classifier.0", "fc1", flattened(512)),
    *affine("classifier.3", "fc2", LINEAR),
    *affine("classifier.6", "fc3", LINEAR),
)
FAMILY = torchvision_family(RULES, stem="features.0.weight", head="classifier.6.weight")
