"""Lists of labels for images in one flat folder: `name label` a line, or ImageNet's ground truth, a number a line."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from gift_jax.errors import GiftError
from gift_jax.readers.classes import WNID, read_class_order
from gift_jax.readers.text import read_lines, same_text

_BREAKS = re.compile(r"[\t,]|\s+")
_NUMBER = re.compile(r"[0-9]{1,9}")


def read_labels(path: Path, images: Sequence[str], order: str | None) -> dict[str, list[str]]:
    """Names of images by class name. Args: images, in sorted order; order, a class-order file.

    Numbers count the lines of a class-order file, from 0 or from 1, as the largest or the smallest tells.
    """
    lines = read_lines(path)
    if not all(map(_NUMBER.fullmatch, lines)):
        labels = _by_name(path, lines, images)
    elif order is None:
        raise GiftError(f"{path}: has numbers alone; say which class each one is by `class_order`, a name a line")
    elif len(lines) != len(images):
        raise GiftError(f"{path}: has {len(lines)} labels, but there are {len(images)} images; take both from one set")
    else:
        labels = dict(zip(images, lines, strict=True))
    if order is not None and all(map(_NUMBER.fullmatch, labels.values())):
        labels = _named(path, labels, read_class_order(Path(order), None))
    by_class: dict[str, list[str]] = {}
    for image in images:
        by_class.setdefault(labels[image], []).append(image)
    return by_class


def _by_name(path: Path, lines: Sequence[str], images: Sequence[str]) -> dict[str, str]:
    # Names that a list may have for an image: from the folder down, its base name, and that without its suffix.
    known = {PurePosixPath(image).stem: image for image in images}
    known |= {PurePosixPath(image).name: image for image in images} | dict(zip(images, images, strict=True))
    labels: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, label = _divided(line, known)
        where = f"{path}: line {number} ({line[:60]!r})"
        if name is None and number == 1:
            continue  # the heading of a table
        if name is None or not label:
            raise GiftError(f"{where} is no `name label` of an image that is there; check the two")
        if (columns := _columns(label)) > 1:
            raise GiftError(f"{where} has {columns + 1} columns; keep `name label` alone")
        label = same_text(label.strip('"'))
        if labels.setdefault(known[name], label) != label:
            raise GiftError(f"{path}: has two labels for {name!r}; keep one of them")
    if missing := next((image for image in images if image not in labels), None):
        raise GiftError(f"{path}: has no label for {missing!r}; add it, or remove the image")
    return labels


def _divided(line: str, known: Mapping[str, str]) -> tuple[str | None, str]:
    """A line's image and label: the label may hold spaces, or the image's name may."""
    places = [place.span() for place in _BREAKS.finditer(line)]
    for start, end in places[:1] + places[-1:] + places[1:-1] + [(len(line), len(line))]:
        name = line[:start].strip().strip('"').removeprefix("./")
        if name in known:
            return name, line[end:].strip()
    return None, ""


def _columns(label: str) -> int:
    """How many columns a line has behind the image's name: a label may hold spaces, and commas in quotes."""
    separator = next((separator for separator in "\t," if separator in label), None)
    if separator:
        return len([field for field in next(csv.reader([label], delimiter=separator)) if field.strip()])
    first, *others = label.split()
    return 1 + len(others) if _NUMBER.fullmatch(first) or WNID.fullmatch(first) else 1


def _named(path: Path, labels: Mapping[str, str], order: Sequence[str]) -> dict[str, str]:
    numbers = {image: int(label) for image, label in labels.items()}
    low, high = min(numbers.values()), max(numbers.values())
    if not (low == 0 and high < len(order)) and not (low > 0 and high == len(order)):
        raise GiftError(
            f"{path}: has the labels {low} to {high} for {len(order)} classes, which leaves open whether they count "
            "from 0 or from 1; write `name label` a line, with the classes' names"
        )
    return {image: order[number - (low > 0)] for image, number in numbers.items()}
