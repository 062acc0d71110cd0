"""What readers are asked for and what they give, and the choice of rows that they share."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gift_jax.data.datasets import DatasetSpec
from gift_jax.errors import GiftError


class Request(NamedTuple):
    """What to read: the dataset, how many images a class, and a class-order file where folders need one."""

    spec: DatasetSpec
    ipc: int
    class_order: Path | None = None


class Content(NamedTuple):
    """What was read and kept.

    images: uint8 or float32 [N, H, W, C]; labels: int32 [N]; soft_labels: logits float32 [N, classes] or None.
    total: images in the source; order: which ones of a class come first; notes: more about the source.
    """

    images: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray | None
    total: int
    order: str
    notes: Mapping[str, str] = {}  # never written to


def split_labels(label: str, labels: np.ndarray, spec: DatasetSpec) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn stored labels into class ids int32 [N] and, where they are logits, soft labels float32 [N, classes].

    Logits come class by class, so that the class of row r is r // (rows a class), not their argmax (DATM).
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels.astype(np.int32), None
    if labels.ndim != 2 or labels.shape[1] != spec.num_classes or len(labels) % spec.num_classes:
        raise GiftError(
            f"{label}: label is {labels.dtype}{list(labels.shape)}, expected class ids [N] or logits "
            f"[N, {spec.num_classes}] with as many rows for each class; check --dataset"
        )
    rows = len(labels) // spec.num_classes
    return np.repeat(np.arange(spec.num_classes, dtype=np.int32), rows), labels.astype(np.float32)


def first_of_each_class(label: str, labels: np.ndarray, request: Request) -> np.ndarray:
    """Row numbers of the first ipc images of each class, in the source's order.

    Raises: GiftError if there are too few of a class, or classes that the dataset has not.
    """
    num_classes, ipc = request.spec.num_classes, request.ipc
    by_class = np.argsort(labels, kind="stable")
    edges = np.searchsorted(labels[by_class], np.arange(num_classes + 1))
    counts = np.diff(edges)
    if (counts < ipc).any():
        short = int(np.argmax(counts < ipc))
        raise too_few(label, f"class {short}", counts[short], ipc)
    if counts.sum() != len(labels):
        stranger = labels[(labels < 0) | (labels >= num_classes)][0]
        raise GiftError(f"{label}: has a label {stranger}, expected 0..{num_classes - 1}; check --dataset")
    return np.sort(by_class[(edges[:-1, None] + np.arange(ipc)).ravel()])


def too_few(label: str, where: str, count: int, ipc: int) -> GiftError:
    """The refusal of a class with less than ipc images."""
    return GiftError(f"{label}: {where} has {count} images, but --ipc is {ipc}; lower it, or complete the set")


def as_bytes(images: np.ndarray) -> np.ndarray:
    """uint8 pixels where the floats in [0, 1] are exactly whole 255ths, else the floats: a quarter of the memory."""
    if images.dtype == np.uint8 or not (images.min() >= 0 and images.max() <= 1):
        return images
    levels = np.rint(images * 255).astype(np.uint8)
    return levels if (levels.astype(np.float32) / np.float32(255) == images).all() else images
