"""Datasets by name: classes, input sizes and the normalisation that the official code uses."""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

from gift_jax.errors import GiftError


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """Colour statistics of [0, 1] pixels, one entry a channel: images enter a network as `(x - mean) / std`.

    Raises: GiftError if the two do not fit each other, or a standard deviation is not above zero.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(0 < std < math.inf for std in self.std):
            raise GiftError("a normalisation needs as many means as standard deviations, and these above zero")
        if not all(map(math.isfinite, self.mean)):
            raise GiftError("a normalisation's means must be finite")


CIFAR = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
# Of scikit-learn's digits, over all training pixels (`data.digits`), to four digits.
DIGITS = Normalisation((0.3056,), (0.3764,))


# The architectures that the official code trains on smaller images, its ConvNets; ConvNeXt is none of them.
CONVNETS = frozenset(f"conv{depth}" for depth in range(1, 10))


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """A dataset: number of classes, side of its images in pixels (ConvNets may use another), channels.

    home says where its real images are published.
    """

    name: str
    num_classes: int
    image_size: int
    normalisation: Normalisation
    home: str
    convnet_size: int | None = None
    channels: int = 3

    def input_size(self, model: str) -> int:
        """Side of the input in pixels for a model, as the official code has it (`conv*` may see smaller images)."""
        return self.convnet_size if self.convnet_size and model in CONVNETS else self.image_size


_CIFAR_HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"
_TINY_HOME = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_IMAGENET_HOME = "https://www.image-net.org"
_NETTE_HOME = "https://github.com/fastai/imagenette"


def _imagenet(name: str, num_classes: int, convnet_size: int, home: str = _IMAGENET_HOME) -> DatasetSpec:
    return DatasetSpec(name, num_classes, 224, IMAGENET, home, convnet_size)


DATASETS: Mapping[str, DatasetSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            DatasetSpec("digits", 10, 8, DIGITS, "scikit-learn", channels=1),
            DatasetSpec("cifar10", 10, 32, CIFAR, _CIFAR_HOME),
            DatasetSpec("cifar100", 100, 32, CIFAR, _CIFAR_HOME),
            DatasetSpec("tinyimagenet", 200, 64, IMAGENET, _TINY_HOME),
            _imagenet("imagenet-1k", 1000, 64),
            # The pruned ImageNet-21K-P, whose published networks take pixels in [0, 1] as they are.
            DatasetSpec("imagenet-21k", 10450, 224, PLAIN, _IMAGENET_HOME),
            _imagenet("imagenet-nette", 10, 128, _NETTE_HOME),
            _imagenet("imagenet-woof", 10, 128, _NETTE_HOME),
            _imagenet("imagenet-10", 10, 128),
            _imagenet("imagenet-100", 100, 128),
        )
    }
)


def get_dataset(name: str) -> DatasetSpec:
    """The dataset of that name. Raises: GiftError that lists the known ones."""
    if name not in DATASETS:
        raise GiftError(f"dataset {name!r} is unknown; choose one of {', '.join(DATASETS)}")
    return DATASETS[name]
