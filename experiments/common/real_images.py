"""Real training images as training sets: some of each class, drawn by a seed, or all of them."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np

from gift_jax import DistilledSet, GiftError
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import DIGITS, EvaluationSet, TrainingSet, load_training
from gift_jax.runtime.seeds import check_seeds

HELD_OUT = 4  # every fourth training digit is for choosing settings; no set is made from it


class RealImages(TrainingSet):
    """Real training images as sets to train on or to choose settings on."""

    @property
    def identity(self) -> str:
        """A digest of where they are from, and of their labels."""
        files = hashlib.sha256(self.digest.encode() + self.labels.tobytes()).hexdigest()
        return files if self.records else self.digest

    @property
    def images(self) -> np.ndarray:
        """All of them, uint8 [N, S, S, C]."""
        return self.read(np.arange(len(self.labels)))

    @property
    def smallest(self) -> int:
        """Images of the class that has the fewest."""
        return int(np.bincount(self.labels).min())

    def held(self) -> Self:
        """The same, all read into memory when the first are asked for."""
        images = functools.cache(lambda: self.images)
        return self._replace(read=lambda rows: images()[rows])

    def part(self, rows: np.ndarray) -> Self:
        """Some of the images. Args: rows, int [M]."""
        return self._replace(labels=self.labels[rows], read=lambda chosen: self.read(rows[chosen]))

    def draw(self, ipc: int, seed: int) -> DistilledSet:
        """As many images of each class, drawn without replacement, as a set of method `random`. Raises: GiftError."""
        check_seeds([seed])
        generator = np.random.default_rng(seed)
        rows = rows_by_class(self.labels, ipc, lambda rows: generator.permutation(rows)[:ipc])
        return self.take(rows, "random", ipc, f"drawn by seed {seed}")

    def everything(self) -> DistilledSet:
        """All images, in memory, as a set of method `real`; its ipc is of the smallest class."""
        return self.take(np.arange(len(self.labels)), "real", self.smallest, "all real training images")

    def take(self, rows: np.ndarray, method: str, ipc: int, made: str) -> DistilledSet:
        """Chosen rows as a set of a method. Args: made, how they were chosen."""
        images, provenance = self.read(rows), {"made": f"{made}, of {len(self.labels)}"}
        return DistilledSet(images, self.labels[rows], None, "raw", self.dataset, method, ipc, provenance)

    def as_test_images(self) -> EvaluationSet:
        """All images, to test on."""
        names = self.records.class_names if self.records else ()
        return EvaluationSet(self.images, self.labels, self.dataset, class_names=names)


def open_real(dataset: str, source: str | None, image_size: int, class_order: Path | None = None) -> RealImages:
    """The real training images of a source, or all training digits. Raises: GiftError about what cannot be read."""
    return RealImages(*load_training(dataset, image_size=image_size, source=source, class_order=class_order))


def training_digits(*, held_out: bool = False) -> RealImages:
    """The training digits that sets are made of, or those that are held out for choosing settings."""
    digits = open_real(DIGITS, None, get_dataset(DIGITS).image_size)
    held, kept = hold_out(len(digits.labels), HELD_OUT)
    return digits.part(held if held_out else kept)


def hold_out(count: int, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to choose settings on, every so many'th, and the other rows, to make sets of."""
    chosen = np.arange(count) % every == every - 1
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def rows_by_class(labels: np.ndarray, ipc: int, choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Rows of ipc images of each class, class after class, that are chosen from the class's.

    Args: labels, int [N], of classes 0..max; choose, which takes a class's rows and returns ipc of them. Returns: int
    [classes * ipc]. Raises: GiftError that names a class of fewer images.
    """
    counts = np.bincount(labels)
    if counts.min() < ipc:
        raise GiftError(f"--ipc must be at most {counts.min()}, the real images of class {counts.argmin()}, not {ipc}")
    return np.concatenate([choose(np.flatnonzero(labels == label)) for label in range(len(counts))])
