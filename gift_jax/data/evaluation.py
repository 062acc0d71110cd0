"""Real labelled images: evaluation sets to measure students on, and training sets in batches."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from gift_jax.data.cache import cached_images
from gift_jax.data.datasets import DIRECTORY, FILE, DatasetSpec, get_dataset
from gift_jax.data.digits import load_split
from gift_jax.data.distilled import PixelSpace, finite
from gift_jax.data.transforms import Preprocessing, make_transform
from gift_jax.data.zca import ZCA
from gift_jax.errors import GiftError
from gift_jax.readers.formats import read_images
from gift_jax.readers.records import Records, decoded
from gift_jax.readers.request import NO_READING_OPTIONS
from gift_jax.readers.tfds import read_tfds
from gift_jax.runtime.files import cache_directory

DIGITS = "digits"
BATCH_SIZE = 500


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Images, labels, the dataset's name and what was done to the pixels.

    images: [N, H, W, C], uint8 if pixel_space is `raw`, float32 if it is `zca` (see `whiten`); possibly mapped from
    disk. labels: int32 [N]. class_names: by class id; the numbers if there are none. Raises: GiftError on a misfit.
    """

    images: np.ndarray
    labels: np.ndarray
    dataset: str
    pixel_space: PixelSpace = "raw"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        spec, images, kinds = get_dataset(self.dataset), self.images, (("raw", np.uint8), ("zca", np.float32))
        if not self.class_names:
            object.__setattr__(self, "class_names", tuple(map(str, range(spec.num_classes))))
        if images.ndim != 4 or images.shape[3] != spec.channels or (self.pixel_space, images.dtype) not in kinds:
            found = f"{images.dtype}{list(images.shape)} in pixel space {self.pixel_space!r}"
            expected = f"[N, H, W, {spec.channels}], raw uint8 or zca float32"
            raise GiftError(f"the {self.dataset} images are {found}, expected {expected}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int32 or not len(self.labels):
            shape = f"{self.labels.dtype}{list(self.labels.shape)}"
            raise GiftError(f"the {self.dataset} labels are {shape}, expected int32 [{len(self.images)}], not empty")
        if images.dtype == np.float32 and not finite(images):
            raise GiftError(f"the {self.dataset} images hold values that are not finite; whiten them again")
        if self.labels.min() < 0 or self.labels.max() >= spec.num_classes:
            raise GiftError(f"the {self.dataset} labels must be in 0..{spec.num_classes - 1}; check the class order")

    def thinned(self, count: int) -> Self:
        """At most so many of the images, evenly spread."""
        step = -(-len(self.labels) // count)
        return dataclasses.replace(self, images=self.images[::step], labels=self.labels[::step])


def whiten(evaluation_set: EvaluationSet, zca: ZCA) -> EvaluationSet:
    """Whiten a raw evaluation set for students of a `zca` set, on the host, by the real training set's whitening."""
    return dataclasses.replace(evaluation_set, images=zca.whiten(evaluation_set.images), pixel_space="zca")


def load_digits_test() -> EvaluationSet:
    """The test third of scikit-learn's digits."""
    split = load_split()
    return EvaluationSet(split.test_images, split.test_labels, "digits")


def load_evaluation(
    dataset: str,
    *,
    image_size: int,
    source: Path | str | None = None,
    class_order: Path | None = None,
    cache: Path | None = None,
    preprocessing: Preprocessing | None = None,
) -> EvaluationSet:
    """Load a dataset's test images as a network of that input size sees them.

    Args: image_size, the side in pixels; source, a directory of class folders, `tfds` or `tfds:DIRECTORY`, None for
    the digits; class_order, a file of class folders by class id; cache, where decoded images are kept (by default
    `cache_directory`); preprocessing, a network's own in place of the dataset's usual one (the digits have none).
    Raises: GiftError that says what is missing, where it is published and how to give it.
    """
    spec = get_dataset(dataset)
    if dataset == DIGITS:
        check_digits(spec, image_size, class_order)
        return load_digits_test()
    records = load_records(dataset, source=source, class_order=class_order, train=False)
    transform = make_transform(spec, image_size, preprocessing)
    images = cached_images(cache or cache_directory("evaluation"), records, transform)
    return EvaluationSet(images, records.labels, dataset, class_names=records.class_names)


class TrainingSet(NamedTuple):
    """Real training images: labels int32 [N], and what reads rows of them, uint8 [rows, S, S, C].

    digest: of what the source holds, as far as it can be told without reading it. records: the files, with which
    they can be shown in other ways; None for the digits.
    """

    dataset: str
    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]
    digest: str
    records: Records | None = None

    @property
    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images uint8 [B, S, S, C] and labels [B], in the source's order, decoded as they are taken."""
        for start in range(0, len(self.labels), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(self.labels)))
            yield self.read(rows), self.labels[rows]


def load_training(
    dataset: str, *, image_size: int, source: Path | str | None = None, class_order: Path | None = None
) -> TrainingSet:
    """List training images, which are decoded as they are read. Args: as of `load_evaluation`."""
    spec = get_dataset(dataset)
    if dataset == DIGITS:
        check_digits(spec, image_size, class_order)
        split = load_split()
        return TrainingSet(dataset, split.train_labels, split.train_images.__getitem__, DIGITS)
    records = load_records(dataset, source=source, class_order=class_order, train=True)
    transform = make_transform(spec, image_size)

    def read(rows: np.ndarray) -> np.ndarray:
        return np.stack(list(decoded(records, transform, rows.tolist())))

    return TrainingSet(dataset, records.labels, read, records.digest, records)


def check_digits(spec: DatasetSpec, image_size: int, class_order: Path | str | None) -> None:
    """Raises: GiftError about an order of classes, or a size, that the digits have not."""
    if class_order:
        raise GiftError("`class_order` is for class folders, and the digits come with scikit-learn; drop it")
    if image_size != spec.image_size:
        raise GiftError(f"the digits have {spec.image_size} pixels a side, not {image_size}; give another dataset")


def load_records(
    dataset: str | DatasetSpec, *, source: Path | str | None, class_order: Path | None = None, train: bool
) -> Records:
    """List a dataset's image files, of which none is decoded yet. Args: as of `load_evaluation`. Raises: GiftError."""
    spec, split = get_dataset(dataset), "training" if train else "test"
    source = source or (spec.train if train else spec.test)
    if source is None:
        raise GiftError(
            f"the {split} images of {spec.name} are missing ({spec.home}); give a directory of class folders, or "
            "`tfds` for what TensorFlow Datasets has prepared"
        )
    kind, _, directory = str(source).partition(":")
    if kind == "tfds":
        if class_order:
            raise GiftError("`class_order` is for class folders, and TensorFlow Datasets has an order; drop it")
        return read_tfds(spec, Path(directory) if directory else None, train=train)
    # What options of add_dataset said belongs to the source that they were given with.
    recorded, options = (spec.train, spec.train_reading) if train else (spec.test, spec.test_reading)
    same = recorded is not None and Path(source).resolve() == Path(recorded).resolve()
    if same and not Path(source).exists():
        raise GiftError(
            f"{source}: no such file or directory, but {DIRECTORY / spec.name / FILE} says that the {split} images of "
            f"{spec.name} are there; give their place as an option, or correct it in that file"
        )
    reading = options if same else NO_READING_OPTIONS
    reading = dataclasses.replace(reading, class_order=str(class_order)) if class_order else reading
    return read_images(Path(source), train=train, reading=reading, spec=spec)
