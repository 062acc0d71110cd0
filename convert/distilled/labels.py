"""What stored labels mean: class ids, one-hot rows, or soft rows, of which a file does not say what they are."""

from typing import NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.classes import class_ids, hard_labels

from ..request import Request

ROWS_BY_CLASS = frozenset(
    {"datm", "pad"}
)  # methods whose soft rows are logits, written class by class whatever their argmax
_SUM_TOLERANCE = 1e-2  # of probabilities that were stored in half precision
_ASK = "say what they are by --soft-labels probabilities|logits"


class ReadLabels(NamedTuple):
    """ids: int32 [N]; soft: logits float32 [N, classes] or None; note: what the source held, in words."""

    ids: np.ndarray
    soft: np.ndarray | None
    note: str


def read_labels(label: str, labels: np.ndarray, request: Request) -> ReadLabels:
    """Class ids [N], one-hot rows [N, classes], or soft rows whose kind an option (or the method) tells."""
    if (ids := hard_labels(labels, request.spec)) is not None:
        what = "one-hot rows" if labels.ndim == 2 and labels.shape[1] > 1 else "class ids"
        if request.soft_labels:
            raise GiftError(f"{label}: its labels are {what}, but --soft-labels is {request.soft_labels}; drop it")
        return ReadLabels(class_ids(label, ids, request.for_readers()), None, what)
    if labels.ndim != 2 or labels.shape[1] != request.spec.num_classes or labels.dtype.kind not in "fiub":
        expected = f"expected class ids [N] or rows [N, {request.spec.num_classes}]"
        raise GiftError(f"{label}: label is {labels.dtype}{list(labels.shape)}, {expected}; check --dataset")
    return _soft(label, labels.astype(np.float32), request)


def _soft(label: str, rows: np.ndarray, request: Request) -> ReadLabels:
    """Logits float32 [N, classes] of soft rows; students take their softmax."""
    by_class = request.method in ROWS_BY_CLASS
    kind = _kind(label, rows, request.soft_labels or ("logits" if by_class else None))
    ids = _ids_by_row(label, len(rows), request) if by_class else _ids_by_argmax(label, rows)
    if kind == "logits":
        return ReadLabels(ids, rows, kind)
    # Zeros, whose logarithm is not finite, become 1e-38.
    soft = np.log(np.maximum(rows, np.finfo(np.float32).tiny))
    return ReadLabels(ids, soft, "probabilities, stored as their logarithms")


def _kind(label: str, rows: np.ndarray, kind: str | None) -> str:
    """What soft rows are taken for. Raises: GiftError if nobody said so, or if their values say otherwise."""
    sums_to_one = bool((rows >= 0).all() and (abs(rows.sum(1) - 1) < _SUM_TOLERANCE).all())
    found = "probabilities (no row is negative, each sums to 1)" if sums_to_one else "no probabilities"
    if kind is None:
        likely = "rows of probabilities, not class ids" if sums_to_one else "rows of numbers that are not one-hot"
        raise GiftError(f"{label}: its labels are {likely}; {_ASK}, or give class ids")
    if (kind == "probabilities") != sums_to_one:
        raise GiftError(f"{label}: its labels are {found}, but were taken for {kind}; {_ASK}")
    return kind


def _ids_by_row(label: str, count: int, request: Request) -> np.ndarray:
    """DATM's rule, and PAD's: the class of row r is r // (rows a class); its logits may well have another argmax."""
    num_classes = request.spec.num_classes
    if count % num_classes:
        raise GiftError(f"{label}: has {count} rows of labels, no multiple of {num_classes} classes; check --dataset")
    return np.repeat(np.arange(num_classes, dtype=np.int32), count // num_classes)


def _ids_by_argmax(label: str, rows: np.ndarray) -> np.ndarray:
    undecided = np.flatnonzero((rows == rows.max(1, keepdims=True)).sum(1) != 1)
    if len(undecided):
        raise GiftError(f"{label}: row {undecided[0]} of its labels has no single largest entry; give class ids too")
    return rows.argmax(1).astype(np.int32)
