"""What a reader of real images is asked for."""

from typing import NamedTuple

from gift_jax.data.datasets import PLAINLY, DatasetSpec, Reading


class Wanted(NamedTuple):
    """train: training images, or test images; reading: what options say; spec: the dataset, None if it is new."""

    train: bool
    reading: Reading = PLAINLY
    spec: DatasetSpec | None = None
