"""What readers are asked for and what they give, and the choice of rows that they share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gift_jax.data.datasets import DatasetSpec
from gift_jax.errors import GiftError

DARKEST_BYTES = 128  # floats from 0 whose largest is at least this (and at most 255) are bytes, without a doubt


class Request(NamedTuple):
    """What to read: the dataset, images a class (None: as many as there are), and what a source does not say.

    class_order: a file of class names, by id. soft_labels: what label rows are. repetition, split, label_column:
    which one of several. first_label: the number of the first class. factor: how many images, along a side, an image
    holds. iteration: which one of several logged sets. image_size: the side to resize encoded images to, in pixels.
    copies: how the names of folders end that do not count beside others.
    """

    spec: DatasetSpec
    ipc: int | None
    method: str = ""
    class_order: Path | None = None
    soft_labels: str | None = None
    repetition: int | None = None
    split: str | None = None
    label_column: str | None = None
    first_label: int = 0
    factor: int | None = None
    iteration: int | None = None
    image_size: int | None = None
    copies: str | None = None


class Content(NamedTuple):
    """What was read and kept.

    images: uint8 or float32 [N, H, W, C]; labels: int32 [N]; soft_labels: logits float32 [N, classes] or None.
    total: images in the source; order: which ones of a class come first; notes: more about the source; first: the
    name of class 0 in it, where it has names.
    """

    images: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray | None
    total: int
    order: str
    notes: Mapping[str, str] = {}  # never written to
    first: str | None = None


def first_of_each_class(label: str, labels: np.ndarray, request: Request) -> np.ndarray:
    """Row numbers of the first ipc images of each class, in the source's order.

    Raises: GiftError if there are too few of a class, or classes that the dataset has not.
    """
    num_classes = request.spec.num_classes
    by_class = np.argsort(labels, kind="stable")
    edges = np.searchsorted(labels[by_class], np.arange(num_classes + 1))
    counts = np.diff(edges)
    ipc = images_a_class(label, [f"class {number}" for number in range(num_classes)], counts.tolist(), request)
    if counts.sum() != len(labels):
        stranger = labels[(labels < 0) | (labels >= num_classes)][0]
        raise GiftError(f"{label}: has a label {stranger}, expected 0..{num_classes - 1}; check --dataset")
    return np.sort(by_class[(edges[:-1, None] + np.arange(ipc)).ravel()])


def images_a_class(label: str, titles: Sequence[str], counts: Sequence[int], request: Request) -> int:
    """Images of each class to keep: as many as are asked for, or as there are.

    Raises: GiftError if a class has fewer, or if classes have different numbers and none was asked for.
    """
    fewest = min(counts)
    wanted = request.ipc or max(1, fewest)
    if fewest < wanted:
        title = titles[next(place for place, count in enumerate(counts) if count < wanted)]
        number = counts[titles.index(title)]
        asked = f"--ipc is {wanted}; lower it, or" if request.ipc else "each class needs one;"
        raise GiftError(f"{label}: {title} has {number} images, but {asked} complete the set")
    if request.ipc is None and max(counts) > fewest:
        raise GiftError(
            f"{label}: its classes have from {fewest} to {max(counts)} images; say how many of each to keep by --ipc, "
            f"{fewest} at most"
        )
    return wanted


# Orders of axes: their name, and how they become [N, H, W, C].
AXES: Mapping[str, tuple[int, ...]] = {"[N, H, W, C]": (0, 1, 2, 3), "[N, C, H, W]": (0, 2, 3, 1)}
LAST, FIRST = AXES


def axes_of(label: str, shape: tuple[int, ...], request: Request, usual: str | None = None) -> str:
    """The order of the axes of square images, a name in `AXES`; usual decides where the shape fits both.

    Raises: GiftError if the shape fits none, or both without a usual one.
    """
    channels = request.spec.channels
    places = ((name, [shape[axis] for axis in axes]) for name, axes in AXES.items() if len(shape) == len(axes))
    fitting = [name for name, (_, height, width, last) in places if height == width > 0 and last == channels]
    if len(fitting) == 1 or usual in fitting:
        return usual if usual in fitting and usual else fitting[0]
    expected = f"square images, [N, H, W, {channels}] or [N, {channels}, H, W]"
    problem = "fits both" if fitting else f"expected {expected}"
    raise GiftError(f"{label} is {list(shape)}, {problem}; check --dataset, or save it again as [N, H, W, {channels}]")


def raw_pixels(images: np.ndarray) -> tuple[np.ndarray, str]:
    """Raw pixels as they are stored, and what they were in words.

    Floats in [0, 1] that are exactly whole 255ths become bytes, a quarter of the memory. Floats from 0 to 255 are
    divided; those that might be anything stay as they are, and are refused by `DistilledSet`.
    """
    if images.dtype == np.uint8:
        return images, "bytes"
    low, high = images.min(), images.max()
    if low >= 0 and DARKEST_BYTES <= high <= 255:
        levels = np.rint(images).astype(np.uint8)
        return (levels if (levels == images).all() else images / np.float32(255)), "floats from 0 to 255"
    if not (low >= 0 and high <= 1):
        return images, "floats"
    levels = np.rint(images * 255).astype(np.uint8)
    whole = (levels.astype(np.float32) / np.float32(255) == images).all()
    return (levels if whole else images), "floats from 0 to 1"
