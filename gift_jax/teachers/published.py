"""The published teachers: what they are, their files' names, and the accuracies that their authors report."""

from collections.abc import Mapping
from typing import NamedTuple

from gift_jax.data.datasets import get_dataset

RDED = "Google Drive, linked from the README of https://github.com/LINs-lab/RDED"
TORCHVISION = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


class Published(NamedTuple):
    """A teacher as published: dataset, model, top-1 in percent, where it is found and its file's base name."""

    dataset: str
    model: str
    top1: float
    where: str = RDED
    file: str = ""

    @property
    def name(self) -> str:
        """`dataset_model`: the official name of its file without suffix, and of its directory here."""
        return f"{self.dataset}_{self.model}"

    @property
    def file_name(self) -> str:
        """Official name of its file, without suffix."""
        return self.file or self.name

    @property
    def image_size(self) -> int:
        """Side of its input in pixels."""
        return get_dataset(self.dataset).input_size(self.model)


# Fifteen of RDED's and GIFT's READMEs, and torchvision's, which both use for ImageNet-1K.
ZOO: Mapping[str, Published] = {
    teacher.name: teacher
    for teacher in (
        Published("cifar10", "resnet18_modified", 93.86),
        Published("cifar10", "conv3", 82.24),
        Published("cifar100", "resnet18_modified", 72.27),
        Published("cifar100", "conv3", 61.27),
        Published("tinyimagenet", "resnet18_modified", 61.98),
        Published("tinyimagenet", "conv4", 49.73),
        Published("imagenet-nette", "resnet18", 90.00),
        Published("imagenet-nette", "conv5", 89.60),
        Published("imagenet-woof", "resnet18", 75.00),
        Published("imagenet-woof", "conv5", 67.40),
        Published("imagenet-10", "resnet18", 87.40),
        Published("imagenet-10", "conv5", 85.40),
        Published("imagenet-100", "resnet18", 83.40),
        Published("imagenet-100", "conv6", 72.82),
        Published("imagenet-1k", "conv4", 43.60),
        Published("imagenet-1k", "resnet18", 69.76, TORCHVISION, "resnet18-f37072fd"),
    )
}
