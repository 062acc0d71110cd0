"""Class ids that a source has as numbers: in a column, in an array, or in the bytes of a file."""

from collections.abc import Sequence

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.classes import MOST_CLASSES, ClassOrder, order_classes
from gift_jax.readers.request import KnownClasses, ReadRequest


def hard_labels(labels: np.ndarray, spec: KnownClasses | None = None) -> np.ndarray | None:
    """Class ids [N] of whole numbers [N] or [N, 1], or of one-hot rows [N, classes]; None of anything else."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels
    fits = labels.ndim == 2 and labels.dtype.kind in "fiub" and (spec is None or labels.shape[1] == spec.num_classes)
    one_hot = fits and ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    return labels.argmax(1) if one_hot else None


def class_ids(label: str, numbers: np.ndarray, request: ReadRequest) -> np.ndarray:
    """Class ids, int32 [N], of stored numbers, from which the first class's is subtracted."""
    spec, first = request.spec, request.first_label
    if request.options.class_order is not None:
        raise GiftError(f"{label}: its labels are class ids, and it has no class names; drop `class_order`")
    count = spec.num_classes if spec else MOST_CLASSES
    if first == 0 and len(numbers) and (numbers.min(), numbers.max()) == (1, count):
        raise GiftError(
            f"{label}: its labels count from 1 to {count}, expected 0..{count - 1}; {request.first_label_mend}"
        )
    outside = numbers[(numbers < first) | (numbers >= first + count)]
    if len(outside):
        raise GiftError(f"{label}: has a label {outside[0]}, expected {first}..{first + count - 1}; check `dataset`")
    return (numbers - first).astype(np.int32)


def numbered_classes(label: str, numbers: np.ndarray, request: ReadRequest) -> tuple[np.ndarray, ClassOrder]:
    """`class_ids`, and classes that have only these: their names are the dataset's, else the numbers."""
    ids, spec = class_ids(label, numbers, request), request.spec
    names = tuple(map(str, range(spec.num_classes if spec else int(ids.max(initial=-1)) + 1)))
    return ids, ClassOrder((spec.class_names if spec else ()) or names, {}, "class ids")


def named_classes(
    label: str, numbers: np.ndarray, names: Sequence[str], request: ReadRequest
) -> tuple[np.ndarray, ClassOrder]:
    """Class ids, int32 [N], of numbers that count names, and the classes. Raises: GiftError if one lacks name or id."""
    order = order_classes(label, names, request, "name")
    outside = numbers[(numbers < 0) | (numbers >= len(names))]
    if len(outside):
        raise GiftError(f"{label}: has a label {outside[0]}, but {len(names)} class names; check the source")
    if stranger := next((name for name in names if name not in order.ids), None):
        raise GiftError(f"{label}: has the class {stranger!r}, which is not in the class order; complete that")
    return np.array([order.ids[name] for name in names], np.int32)[numbers], order
