"""Real training images as training sets: some of each class, drawn by a seed, or all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import DIGITS, load_records
from gift_jax.data.transforms import make_transform
from gift_jax.readers.records import Records, decoded
from gift_jax.runtime.seeds import check_seeds

from .digits_setup import training_digits
from .inputs import find_training
from .study import Materials, Study

Reader = Callable[[np.ndarray], np.ndarray]
"""Rows int [n] -> images uint8 [n, S, S, C]."""


class RealImages(NamedTuple):
    """Real training images: labels int32 [N], and what reads rows of them, uint8 [rows, S, S, C]."""

    dataset: str
    labels: np.ndarray
    read: Reader

    def draw(self, ipc: int, seed: int) -> DistilledSet:
        """As many images of each class, drawn by a seed, as a set of method `random`. Raises: GiftError."""
        return self.take(draw_rows(self.labels, ipc, seed), "random", ipc, f"drawn by seed {seed}")

    @property
    def smallest(self) -> int:
        """Images of the class that has the fewest."""
        return int(np.bincount(self.labels).min())

    def held(self) -> Self:
        """The same, all read into memory."""
        images = self.read(np.arange(len(self.labels)))
        return self._replace(read=lambda rows: images[rows])

    def everything(self) -> DistilledSet:
        """All images, in memory, as a set of method `real`; its ipc is of the smallest class."""
        return self.take(np.arange(len(self.labels)), "real", self.smallest, "all real training images")

    def part(self, rows: np.ndarray) -> Self:
        """Some of the images. Args: rows, int [M]."""
        return type(self)(self.dataset, self.labels[rows], lambda chosen: self.read(rows[chosen]))

    def take(self, rows: np.ndarray, method: str, ipc: int, made: str) -> DistilledSet:
        """Chosen rows as a set of a method. Args: made, how they were chosen."""
        images, provenance = self.read(rows), {"made": f"{made}, of {len(self.labels)}"}
        return DistilledSet(images, self.labels[rows], None, "raw", self.dataset, method, ipc, provenance)


def load_real(study: Study, image_size: int) -> RealImages:
    """The images that the digits' sets are made from, or those of --train-data. Raises: GiftError if it is missing."""
    if study.dataset == DIGITS:
        images, labels = training_digits()
        return RealImages(DIGITS, labels, lambda rows: images[rows])
    return open_real(study.dataset, find_training(study), image_size, study.class_order)


def open_real(dataset: str, source: str | None, image_size: int, class_order: Path | None = None) -> RealImages:
    """The real training images of a source. Raises: GiftError about what cannot be read."""
    records = load_records(dataset, source=source, class_order=class_order, train=True)
    return RealImages(dataset, records.labels, reader(records, dataset, image_size))


def reader(records: Records, dataset: str, image_size: int) -> Reader:
    """What reads rows of a dataset's records at this size."""
    transform = make_transform(get_dataset(dataset), image_size)
    return lambda rows: np.stack(list(decoded(records, transform, rows.tolist())))


def teacher_of(materials: Materials) -> Teacher:
    """The teacher that labels real images as it labels the sets. Raises: GiftError if it cannot."""
    if materials.teacher is None or materials.evaluation_set.pixel_space != "raw":
        raise GiftError("random images need a teacher of raw images to label them; give --teacher, and no whitened set")
    return materials.teacher


def draw_rows(labels: np.ndarray, ipc: int, seed: int) -> np.ndarray:
    """Rows of ipc images of each class, drawn without replacement. Args and returns: as of `rows_by_class`."""
    check_seeds([seed])
    generator = np.random.default_rng(seed)
    return rows_by_class(labels, ipc, lambda rows: generator.permutation(rows)[:ipc])


def rows_by_class(labels: np.ndarray, ipc: int, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Rows of ipc images of each class, class after class, that are chosen from the class's.

    Args: labels, int [N], of classes 0..max; choose, which takes a class's rows and returns ipc of them. Returns: int
    [classes * ipc]. Raises: GiftError that names a class of fewer images.
    """
    counts = np.bincount(labels)
    if counts.min() < ipc:
        raise GiftError(f"--ipc must be at most {counts.min()}, the real images of class {counts.argmin()}, not {ipc}")
    return np.concatenate([choose(np.flatnonzero(labels == label)) for label in range(len(counts))])
