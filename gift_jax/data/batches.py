"""Batches on the host, made ahead of their use by Grain: which images, epoch after epoch, and gathered from arrays."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gift_jax.data.distilled import DistilledSet
from gift_jax.errors import needing


def load_grain() -> Any:
    """The module grain. Raises: GiftError that says how to install it."""
    with needing("data", "training from image files needs Grain"):
        import grain
    return grain


THREADS, WAITING = 4, 8


class Chosen(NamedTuple):
    """The images of one batch: rows int [seeds, B] of a set, in an epoch counted from 0."""

    epoch: int
    rows: np.ndarray


class HostBatch(NamedTuple):
    """A batch a seed: uint8 or float32 [seeds, B, H, W, C], int32 [seeds, B] and float32 [seeds, B, classes]."""

    images: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Order:
    """The batches of the epochs first to epochs - 1 as a sequence of `Chosen`, which Grain reads.

    permutation: epoch -> rows int [seeds, N]. steps: batches an epoch, of which the last may be smaller.
    """

    permutation: Callable[[int], np.ndarray]
    batch_size: int
    steps: int
    first: int
    epochs: int

    def __len__(self) -> int:
        return (self.epochs - self.first) * self.steps

    def __getitem__(self, place: int) -> Chosen:
        epoch, step = self.first + place // self.steps, place % self.steps
        return Chosen(epoch, _permuted(self.permutation, epoch)[:, step * self.batch_size :][:, : self.batch_size])


@functools.lru_cache(maxsize=2)  # the epoch that is trained on and the one that is read ahead
def _permuted(permutation: Callable[[int], np.ndarray], epoch: int) -> np.ndarray:
    return permutation(epoch)


def gathered(distilled: DistilledSet, order: Order) -> Any:
    """Gather batches out of a set's arrays, which may be mapped from disk. Returns: Grain's iterator of `HostBatch`."""
    grain = load_grain()
    # Threads, for nothing is decoded: NumPy copies rows, and waits for the disk, without holding Python's lock, and
    # processes would copy every batch once more.
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=WAITING)

    def take(chosen: Chosen) -> HostBatch:
        soft_labels = None if distilled.soft_labels is None else distilled.soft_labels[chosen.rows]
        return HostBatch(np.asarray(distilled.images[chosen.rows]), distilled.labels[chosen.rows], soft_labels)

    return iter(grain.MapDataset.source(order).map(take).to_iter_dataset(options))
