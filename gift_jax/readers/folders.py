"""Image files: trees of class folders, Tiny-ImageNet's own layout of its validation images, or a list of labels."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.class_order import read_text
from gift_jax.readers.classes import order_classes
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.label_list import read_labels
from gift_jax.readers.records import Records, file_records
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import split_for, split_of_image
from gift_jax.readers.trees import NO_FOLDER, by_class_folder, in_splits

TINY_LABELS = "val_annotations.txt"
LARGEST_TEXT = 1 << 28  # bytes


def is_image(base: str) -> bool:
    """Whether a file of that base name is an image."""
    return base.lower().endswith(SUFFIXES)


def splits(source: Source) -> list[str | None]:
    """The splits that are there."""
    images = _images(source)
    return list(dict.fromkeys(map(split_of_image, images))) if in_splits(images) else [None]


def read(source: Source, request: ReadRequest) -> Records:
    """The images of one split, by class: folders (numbers, wnids or names), annotations, or a list.

    Class ids are the folders' numbers, else their sorted order, else the lines of a class-order file. With such a
    file other folders are ignored: a subset can be read out of the whole of ImageNet. Images are in the order of
    their folders' names whatever the classes are.
    Raises: GiftError if the classes are not the dataset's, or one has no images.
    """
    images, reading = _images(source), request.options
    kind = "class" if reading.labels else "class folder"
    if reading.labels is not None:
        images = _of_split(source, images, request)
        by_class, note = read_labels(Path(reading.labels), images, reading.class_order), f"labels of {reading.labels}"
    elif tiny := _annotated(source, set(images), request):
        by_class, note = tiny, TINY_LABELS
    else:
        images = _of_split(source, images, request)
        by_class = _folders(source, images)
        note = f"split {split_of_image(images[0])}" if in_splits(images) else "class folders"
    names = order_classes(source.label, sorted(by_class), request.spec, reading.class_order, kind)
    empty = next((name for name in names if name in by_class and not by_class[name]), None)
    if empty is not None:
        raise GiftError(f"{source.label}: the class {empty!r} has no images; take them from the source again")
    # Not in the order of the classes: with another class order the decoded images stay where they are.
    by_name = sorted((name, label) for label, name in enumerate(names) if name in by_class)
    files = [file for name, _ in by_name for file in by_class[name]]
    labels = np.array([label for name, label in by_name for _ in by_class[name]], np.int32)
    return file_records(source, files, labels, names, note)


def _images(source: Source) -> list[str]:
    return sorted(filter(is_image, source.sizes), key=lambda name: name.split("/"))


def _of_split(source: Source, images: list[str], request: ReadRequest) -> list[str]:
    """The images of one split. A class may well be called `train`: each image must lie in a split's folder."""
    if request.options.split is None and not in_splits(images):
        return images
    found: dict[str | None, list[str]] = {}
    for image in images:
        found.setdefault(split_of_image(image), []).append(image)
    # Test images without classes, as ImageNet's and Tiny-ImageNet's are, test nothing.
    sorted_ones = [split for split, names in found.items() if len(by_class_folder(names)) > 1]
    usable = (not request.train and request.options.labels is None and sorted_ones) or list(found)
    return found[split_for(source.label, usable, request.options.split, train=request.train)]


def _folders(source: Source, images: Sequence[str]) -> dict[str, list[str]]:
    leftover = any(PurePosixPath(name).name == TINY_LABELS for name in source.sizes)
    empty = [f"{name}/-" for name in source.empty if not (leftover and PurePosixPath(name).name == "images")]
    by_folder = by_class_folder(images, [*(name for name in source.sizes if not is_image(name)), *empty])
    if flat := by_folder.get(NO_FOLDER):
        raise GiftError(
            f"{source.label}: {flat[0]!r} is in no class folder; say the images' classes by --labels FILE, "
            "`name label` a line, or give a directory of class folders alone"
        )
    return by_folder


def _annotated(source: Source, images: set[str], request: ReadRequest) -> dict[str, list[str]] | None:
    """Images by class as `val_annotations.txt` has them; None if its images have been moved into class folders."""
    found = next((name for name in source.sizes if PurePosixPath(name).name == TINY_LABELS), None)
    if found is None or (split_of_image(found) is not None and (request.train or request.options.split)):
        return None
    by_class = _annotations(source, found)
    listed = [name for names in by_class.values() for name in names]
    there = sum(name in images for name in listed)
    if not there and images:
        return None
    if there < len(listed):
        missing = next(name for name in listed if name not in images)
        raise GiftError(f"{source.label}: {missing!r} is not there, but {found} names it; take both from the source")
    return by_class


def _annotations(source: Source, annotations: str) -> dict[str, list[str]]:
    """`images/*.JPEG` beside the file, which has an image, its wnid and a box a line."""
    text = read_text(source.title(annotations), source.read(annotations, LARGEST_TEXT))
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    if any(len(row) < 2 for row in rows):
        title = source.title(annotations)
        raise GiftError(f"{title}: a line has no class; take the file from the source again")
    by_class: dict[str, list[str]] = {}
    for file, wnid, *_ in sorted(rows):
        by_class.setdefault(wnid, []).append(str(PurePosixPath(annotations).parent / "images" / file))
    return by_class
