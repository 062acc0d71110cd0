"""The embedded data: scikit-learn's 1,797 real handwritten digits, 8x8 grey pixels, ten classes."""

from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import needing

TEST_SHARE = 3  # one image in three is a test image


class Split(NamedTuple):
    """Images uint8 [N, 8, 8, 1] and labels int32 [N], for training and for testing."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_split() -> Split:
    """Every third image of each class (by order in the data) is for testing, the others for training."""
    with needing("demo", "the digits need scikit-learn"):
        from sklearn.datasets import load_digits
    data: Any = load_digits()  # a Bunch: scikit-learn's annotation has it as a tuple
    # Pixels are 0..16; 255 / 16 is not whole, so grey levels are rounded.
    images = np.rint(data.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = data.target.astype(np.int32)
    test = np.zeros(len(labels), bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[::TEST_SHARE]] = True
    return Split(images[~test], labels[~test], images[test], labels[test])
