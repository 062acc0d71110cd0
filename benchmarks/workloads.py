"""What is timed: model, sizes and recipe, the same for every side, on synthetic pixels."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

SEEDS = (0, 1, 2)
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-4


class Size(NamedTuple):
    """Images a step and a round; with evaluations, epochs a seed and images of the evaluation set."""

    batch: int
    images: int
    epochs: int = 1
    test_images: int = 0


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model and a dataset's shapes; the CPU takes fewer images, so that a round takes seconds there too.

    mean and std are the dataset's colour statistics, of [0, 1] pixels.
    whole: three seeds from initial weights to accuracies, rather than one epoch of steps.
    """

    model: str
    dataset: str
    side: int
    classes: int
    accelerator: Size
    cpu: Size
    mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465)
    std: tuple[float, ...] = (0.2023, 0.1994, 0.2010)
    whole: bool = False

    @property
    def channels(self) -> int:
        """Of the images: 1 for grey, 3 for colour."""
        return len(self.mean)

    def size(self, platform: str) -> Size:
        """The size for a platform such as `cpu`."""
        return self.cpu if platform == "cpu" else self.accelerator


WORKLOADS: Mapping[str, Workload] = {
    "conv3-32": Workload("conv3", "cifar100", 32, 100, Size(100, 10_000), Size(100, 300)),
    "conv3-grey-28": Workload(
        "conv3", "fashion-mnist", 28, 10, Size(128, 10_000), Size(128, 256), (0.2861,), (0.3530,)
    ),
    "resnet18_modified-32": Workload("resnet18_modified", "cifar100", 32, 100, Size(100, 5_000), Size(50, 100)),
    "conv4-64": Workload("conv4", "tinyimagenet", 64, 200, Size(100, 5_000), Size(100, 200)),
    "resnet18-224": Workload("resnet18", "imagenet-1k", 224, 1000, Size(100, 2_000), Size(10, 20)),
    "evaluation": Workload(
        "conv3", "cifar100", 32, 100, Size(100, 1_000, 20, 10_000), Size(100, 200, 2, 200), whole=True
    ),
}

# What is compiled: larger networks at ImageNet's size too.
COMPILED: Mapping[str, Workload] = {
    **WORKLOADS,
    "resnet101-224": Workload("resnet101", "imagenet-1k", 224, 1000, Size(100, 1_000), Size(10, 10)),
    "vit_b_16-224": Workload("vit_b_16", "imagenet-1k", 224, 1000, Size(100, 1_000), Size(10, 10)),
}


class Kind(NamedTuple):
    """What is compiled: an epoch in a precision over devices, with so many seeds side by side; or an evaluation."""

    precision: str
    devices: int = 1
    seeds: int = 1
    evaluation: bool = False


KINDS: Mapping[str, Kind] = {
    "epoch-float32": Kind("float32"),
    "epoch-bfloat16": Kind("bfloat16"),
    "evaluation": Kind("float32", evaluation=True),
    "data-8": Kind("bfloat16", devices=8),
    "seed-2-data-4": Kind("bfloat16", devices=8, seeds=2),
}


def make_pixels(workload: Workload, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images, uint8 [count, side, side, channels], and labels, int32 [count]."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, workload.side, workload.side, workload.channels), np.uint8)
    return images, draw.integers(0, workload.classes, count).astype(np.int32)


def evaluation_epochs(epochs: int) -> list[int]:
    """Epochs, counted from 1, after which the official code evaluates: four of them, and the last."""
    every = max(epochs // 4, 1)
    return [epoch for epoch in range(1, epochs + 1) if epoch % every == 0 or epoch == epochs]
