"""TensorFlow Datasets, read without TensorFlow: array_record and Parquet files that it has prepared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gift_jax.errors import GiftError, damage_as_gift_error, needing
from gift_jax.readers.classes import named_classes
from gift_jax.readers.records import Records, listing_digest
from gift_jax.readers.request import KnownClasses, ReadRequest

# The name there, and the split for evaluation.
SOURCES: Mapping[str, tuple[str, str]] = {
    "cifar10": ("cifar10", "test"),
    "cifar100": ("cifar100", "test"),
    "imagenet-1k": ("imagenet2012", "validation"),
    "imagenet-nette": ("imagenette", "validation"),
}


def read_tfds(spec: KnownClasses, directory: Path | None, *, train: bool = False) -> Records:
    """Read the list of images that TensorFlow Datasets has prepared below directory (its usual one if None)."""
    if spec.name not in SOURCES:
        raise GiftError(f"TensorFlow Datasets has no {spec.name}, only {', '.join(SOURCES)}; give class folders")
    name, evaluation = SOURCES[spec.name]
    split = "train" if train else evaluation
    builder, images = _open(name, split, directory)
    where, names = f"{name}:{split}", tuple(builder.info.features["label"].names)
    numbers = np.array([_field(images, row, "label", where) for row in range(len(images))])
    labels, classes = named_classes(f"TensorFlow Datasets' {where}", numbers, names, ReadRequest(train, spec=spec))
    files = [Path(name) for name in builder.info.splits[split].filepaths]
    digest = listing_digest(Path(builder.data_dir), files)
    return Records(
        labels, classes, lambda row: bytes(_field(images, row, "image", where)), lambda row: f"{where}[{row}]", digest
    )


def _field(images: Any, row: int, name: str, where: str) -> Any:
    """A field of a record. Raises: GiftError if its file is damaged: cut ones give errors, or records of nothing."""
    dataset = where.partition(":")[0]
    mend = f"remove the dataset and prepare it again by `tfds build {dataset} --file_format=array_record`"
    with damage_as_gift_error(f"{where}[{row}]: a file of TensorFlow Datasets is damaged", mend):
        value = images[row][name]
        if value is None:
            raise ValueError("its record is empty")
        return value


def _open(name: str, split: str, directory: Path | None) -> tuple[Any, Any]:
    with needing("data", "TensorFlow Datasets is not installed"):
        import tensorflow_datasets as tfds
    place = "its usual directory" if directory is None else str(directory)
    mend = f"prepare it where TensorFlow is installed by `tfds build {name} --file_format=array_record`"
    with damage_as_gift_error(f"TensorFlow Datasets has no readable {name} in {place}", mend):
        builder: Any = tfds.builder(name, data_dir=directory)
        if not (Path(builder.data_dir) / "dataset_info.json").is_file():
            raise FileNotFoundError(f"nothing at {builder.data_dir}")
        # Pillow decodes, as everywhere else, not TensorFlow Datasets.
        return builder, builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
