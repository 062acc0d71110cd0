"""Evaluation sets: real labelled images to measure students on."""

import dataclasses

import numpy as np

from gift_jax.data.datasets import get_dataset
from gift_jax.data.digits import load_split
from gift_jax.data.distilled import PixelSpace
from gift_jax.data.zca import ZCA
from gift_jax.errors import GiftError

_DTYPES = {"raw": np.uint8, "zca": np.float32}


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Images [N, H, W, C], labels int32 [N], the dataset's name and what was done to the pixels.

    images: uint8 if pixel_space is `raw`, float32 if it is `zca` (see `whiten`). Raises: GiftError on a misfit.
    """

    images: np.ndarray
    labels: np.ndarray
    dataset: str
    pixel_space: PixelSpace = "raw"

    def __post_init__(self) -> None:
        spec = get_dataset(self.dataset)
        if self.images.ndim != 4 or self.images.shape[3] != spec.channels or self.images.dtype != self._dtype:
            shape = f"{self.images.dtype}{list(self.images.shape)}"
            expected = f"{self._dtype} [N, H, W, {spec.channels}]"
            raise GiftError(f"the {self.dataset} images are {shape}, expected {expected}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int32 or not len(self.labels):
            shape = f"{self.labels.dtype}{list(self.labels.shape)}"
            raise GiftError(f"the {self.dataset} labels are {shape}, expected int32 [{len(self.images)}], not empty")
        if self.labels.min() < 0 or self.labels.max() >= spec.num_classes:
            raise GiftError(f"the {self.dataset} labels must be in 0..{spec.num_classes - 1}; check the class order")

    @property
    def _dtype(self) -> np.dtype:
        if self.pixel_space not in _DTYPES:
            known = " or ".join(_DTYPES)
            raise GiftError(
                f"an evaluation set in pixel space {self.pixel_space!r} is not supported; give {known} images"
            )
        return np.dtype(_DTYPES[self.pixel_space])


def whiten(evaluation_set: EvaluationSet, zca: ZCA) -> EvaluationSet:
    """Whiten a raw evaluation set for students of a `zca` set, once, on the host.

    Args: zca, the whitening of the real training set (`gift_jax.data.zca.fit_zca`, `load_zca`).
    Raises: GiftError if it is of images of another size.
    """
    images = zca.whiten(evaluation_set.images)
    return dataclasses.replace(evaluation_set, images=images, pixel_space="zca")


def load_digits_test() -> EvaluationSet:
    """The test third of scikit-learn's digits."""
    split = load_split()
    return EvaluationSet(split.test_images, split.test_labels, "digits")
