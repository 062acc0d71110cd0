"""What the labels of a set mean: class ids, one-hot rows, or soft rows of a kind that is told."""

from typing import NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.classes import class_ids, hard_labels

from ..request import Request

ROWS_BY_CLASS = ("datm", "pad")  # methods whose soft rows are logits, class by class whatever their argmax
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
    by_class, num_classes = request.method in ROWS_BY_CLASS, request.spec.num_classes
    kind = _kind(label, rows, request.soft_labels or ("logits" if by_class else None))
    if by_class:  # DATM's rule, and PAD's: row r is of class r // (rows a class); its logits may have another argmax
        if len(rows) % num_classes:
            raise GiftError(f"{label}: {len(rows)} labels are no multiple of {num_classes} classes; check --dataset")
        ids = np.repeat(np.arange(num_classes), len(rows) // num_classes)
    else:
        undecided = np.flatnonzero((rows == rows.max(1, keepdims=True)).sum(1) != 1)
        if len(undecided):
            raise GiftError(f"{label}: row {undecided[0]} of its labels has no single largest entry; give class ids")
        ids = rows.argmax(1)
    if kind == "logits":
        return ReadLabels(ids.astype(np.int32), rows, kind)
    # Zeros, whose logarithm is not finite, become 1e-38.
    soft = np.log(np.maximum(rows, np.finfo(np.float32).tiny))
    return ReadLabels(ids.astype(np.int32), soft, "probabilities, stored as their logarithms")


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
