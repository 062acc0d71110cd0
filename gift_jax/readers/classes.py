"""Which class id a class name has: that of a folder, of a line in a list of labels, or of a column's names."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.class_order import read_class_order
from gift_jax.readers.request import KnownClasses


def order_classes(
    label: str, found: Sequence[str], spec: KnownClasses | None, order: str | None, kind: str = "class folder"
) -> Sequence[str]:
    """Class names by class id: of a class-order file, of the dataset, as numbers, or as they were found.

    Args: spec, whose classes they must be, None takes them as they are; order, a class-order file; kind, what has the
    names. A dataset's class may be missing, and a file's order leaves other names out. Raises: GiftError on a misfit.
    """
    known, names = set(found), spec.class_names if spec else ()
    if order is not None:
        ordered = read_class_order(Path(order), spec.num_classes if spec else None)
        missing = next((name for name in ordered if name not in known), None)
        if missing is not None and set(ordered) != set(names):
            raise GiftError(f"{label}: has no {kind} {missing!r}, which {order} names; check the two")
        return ordered
    if names and known <= set(names):
        return names
    numbers = [int(name) for name in found if re.fullmatch(r"[0-9]{1,9}", name)]
    if spec is not None and names and len(numbers) < len(found):
        stranger = next(name for name in found if name not in names)
        raise GiftError(f"{label}: has the {kind} {stranger!r}, which {spec.name} has not ({names[0]!r} ...); check it")
    if spec is not None and len(found) != spec.num_classes:
        raise GiftError(
            f"{label}: has {len(found)} {kind}s, but {spec.name} has {spec.num_classes} classes; check the "
            "path, or name the classes to take by --class-order"
        )
    if len(numbers) < len(found):
        return found
    if sorted(numbers) != list(range(len(found))):
        raise GiftError(f"{label}: its numbered {kind}s are not 0..{len(found) - 1}; rename them")
    return sorted(found, key=int)


def numbered(label: str, count: int, spec: KnownClasses | None, order: str | None) -> tuple[str, ...]:
    """Names of count classes that have only numbers: the dataset's, else the numbers.

    Raises: GiftError if they are more than the dataset has, or a class order is given for them.
    """
    if order is not None:
        raise GiftError(f"{label}: its labels are class ids, which have an order; drop --class-order")
    if spec is not None and count > spec.num_classes:
        raise GiftError(f"{label}: has {count} classes, but {spec.name} has {spec.num_classes}; check the path")
    return (spec.class_names if spec else ()) or tuple(map(str, range(spec.num_classes if spec else count)))


def renumbered(label: str, labels: np.ndarray, names: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """Labels int32 [N] that count names, as class ids of those names in another order.

    Raises: GiftError if a label is of a class that the order leaves out, or a name comes twice.
    """
    places = {name: place for place, name in enumerate(order)}
    if len(set(names)) < len(names):
        raise GiftError(f"{label}: has the class {next(n for n in names if names.count(n) > 1)!r} twice; rename one")
    if stranger := next((name for name in names if name not in places), None):
        raise GiftError(f"{label}: has the class {stranger!r}, which is not in the class order; complete that")
    return np.array([places[name] for name in names], np.int32)[labels]
