"""What readers of distilled sets give, and what they share: rows and axes."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gift_jax.errors import GiftError

from ..request import Request
from .labels import read_labels


class Content(NamedTuple):
    """What was read and kept.

    images: uint8 or float32 [N, H, W, C]; labels: int32 [N]; soft_labels: logits float32 [N, classes] or None.
    total: images in the source; order: which ones of a class come first; notes: more about the source; class_names: by
    class id, () where the source has none; first: what class 0 is called in it.
    """

    images: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray | None
    total: int
    order: str
    notes: Mapping[str, str] = {}  # never written to
    class_names: tuple[str, ...] = ()
    first: str | None = None
    learning_rate: float | None = None


def first_of_each_class(label: str, labels: np.ndarray, request: Request, names: Sequence[str] = ()) -> np.ndarray:
    """Row numbers of the first images of each class, in the source's order: as many as are asked for, or as there are.

    Args: label, the source, and names, of the classes, both for messages; labels, int32 [N].
    """
    count = request.spec.num_classes
    strangers = labels[(labels < 0) | (labels >= count)]
    if len(strangers):
        raise GiftError(f"{label}: has a label {strangers[0]}, expected 0..{count - 1}; check --dataset")
    by_class = np.argsort(labels, kind="stable")
    edges = np.searchsorted(labels[by_class], np.arange(count + 1))
    counts = np.diff(edges)
    fewest, found = int(counts.min()), np.count_nonzero(counts)
    ipc = request.ipc or max(1, fewest)
    if not fewest:
        raise GiftError(
            f"{label}: class {counts.argmin()} has 0 images, and only {found} of the {count} classes of "
            f"{request.dataset} have some; check --dataset, or complete the set"
        )
    if fewest < ipc:
        first = int(np.argmax(counts < ipc))
        title = f"class {first}" + (f" ({names[first]!r})" if names else "")
        raise GiftError(
            f"{label}: {title} has {counts[first]} images, but --ipc is {ipc}; lower it, or complete the set"
        )
    if request.ipc is None and counts.max() > fewest:
        raise GiftError(
            f"{label}: its classes have from {fewest} to {counts.max()} images; say how many of each to keep by --ipc, "
            f"{fewest} at most"
        )
    return np.sort(by_class[(edges[:-1, None] + np.arange(ipc)).ravel()])


def allocated(shape: tuple[int, ...], dtype: type[np.generic], what: str) -> np.ndarray:
    """Room for an array. Raises: GiftError that says how much memory what would take, where there is less."""
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        size = np.prod(shape, dtype=float) * np.dtype(dtype).itemsize / 2**30
        raise GiftError(f"{what} take {size:,.0f} GiB of memory; lower --ipc") from None


# Orders of axes: their name, and how they become [N, H, W, C].
AXES: Mapping[str, tuple[int, ...]] = {"[N, H, W, C]": (0, 1, 2, 3), "[N, C, H, W]": (0, 2, 3, 1)}
_, FIRST = AXES


def axes_of(label: str, shape: tuple[int, ...], request: Request, usual: str | None = None) -> str:
    """The order of the axes of square images, a name in `AXES`; usual decides where the shape fits both."""
    channels = request.spec.channels
    places = ((name, [shape[axis] for axis in axes]) for name, axes in AXES.items() if len(shape) == len(axes))
    fitting = [name for name, (_, height, width, last) in places if height == width > 0 and last == channels]
    if len(fitting) == 1 or usual in fitting:
        return usual if usual in fitting and usual else fitting[0]
    expected = f"square images, [N, H, W, {channels}] or [N, {channels}, H, W]"
    problem = "fits both" if fitting else f"expected {expected}"
    raise GiftError(f"{label} is {list(shape)}, {problem}; check --dataset, or save it again as [N, H, W, {channels}]")


def content_of_pair(
    label: str,
    shape: tuple[int, ...],
    labels: np.ndarray,
    request: Request,
    take: Callable[[np.ndarray], np.ndarray],
    order: str,
    usual: str | None = None,
) -> Content:
    """The first images of each class, of arrays of images and of labels, as `read_labels` has them.

    Args: label, the source, for messages; shape, of the images; take, row numbers -> these images as they are stored;
    order, as in `Content`; usual, as in `axes_of`.
    """
    read = read_labels(label, labels, request)
    if shape[:1] != read.ids.shape:
        count = shape[0] if shape else 0
        raise GiftError(f"{label}: has {count} images, but {len(read.ids)} labels; take both from one release")
    axes = axes_of(f"{label}: its images", shape, request, usual)
    kept = first_of_each_class(label, read.ids, request)
    soft_labels = None if read.soft is None else read.soft[kept]
    notes = {"labels": read.note, "axes": axes}
    return Content(take(kept).transpose(AXES[axes]), read.ids[kept], soft_labels, len(read.ids), order, notes)
