"""Evaluation sets: real labelled images to measure students on."""

import dataclasses

import numpy as np

from gift_jax.data.datasets import get_dataset
from gift_jax.data.digits import load_split
from gift_jax.errors import GiftError


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Images uint8 [N, H, W, C], labels int32 [N] and the dataset's name. Raises: GiftError on a misfit."""

    images: np.ndarray
    labels: np.ndarray
    dataset: str

    def __post_init__(self) -> None:
        spec = get_dataset(self.dataset)
        if self.images.ndim != 4 or self.images.shape[3] != spec.channels or self.images.dtype != np.uint8:
            shape = f"{self.images.dtype}{list(self.images.shape)}"
            raise GiftError(f"the {self.dataset} images are {shape}, expected uint8 [N, H, W, {spec.channels}]")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int32 or not len(self.labels):
            shape = f"{self.labels.dtype}{list(self.labels.shape)}"
            raise GiftError(f"the {self.dataset} labels are {shape}, expected int32 [{len(self.images)}], not empty")
        if self.labels.min() < 0 or self.labels.max() >= spec.num_classes:
            raise GiftError(f"the {self.dataset} labels must be in 0..{spec.num_classes - 1}; check the class order")


def load_digits_test() -> EvaluationSet:
    """The test third of scikit-learn's digits."""
    split = load_split()
    return EvaluationSet(split.test_images, split.test_labels, "digits")
