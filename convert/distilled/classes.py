"""Which class id a name has: a class folder's, or one of a Parquet column's class names."""

import collections
import json
import re
from collections.abc import Sequence

from gift_jax.data.distilled import CLASS_NAMES
from gift_jax.errors import GiftError
from gift_jax.readers.class_order import read_class_order
from gift_jax.runtime.files import sha256

from .content import Request

_NUMBERED = re.compile(r"(?:new)?([0-9]{1,9})")


def named(order: Sequence[str], where: str) -> dict[str, str]:
    """Notes about classes that have names, by class id."""
    return {"classes": where, CLASS_NAMES: json.dumps(list(order))}


def order_classes(
    label: str, names: Sequence[str], request: Request, kind: str
) -> tuple[Sequence[str], dict[str, str]]:
    """Names by class id, and notes that say where the ids come from: a file, numbers, or the given order.

    Args: kind, what has the names: `folder` or `name`. Raises: GiftError if they are not the dataset's classes.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise GiftError(f"{label}: has the class {kind} {twice!r} twice; rename one of them")
    if request.class_order:
        return _ordered_by_file(label, names, request, kind)
    num_classes = request.spec.num_classes
    numbers = [int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))]
    if len(numbers) == len(names):
        _check_numbers(label, numbers, request, kind)
        order = sorted(names, key=dict(zip(names, numbers, strict=True)).__getitem__)
        return order, {"classes": f"the {kind}s' numbers"}
    if numbers:
        stranger = next(name for name in names if not _NUMBERED.fullmatch(name))
        raise GiftError(f"{label}: {stranger!r} is among {kind}s that are numbered; remove it, or rename it")
    if len(names) != num_classes:
        raise GiftError(
            f"{label}: has {len(names)} class {kind}s ({names[0]!r} ...), expected {num_classes}; "
            "check --dataset and the path"
        )
    if request.first_label:
        raise GiftError(f"{label}: its class {kind}s are no numbers ({names[0]!r} ...); drop --first-label")
    order = "sorted order" if kind == "folder" else "the file's order"
    return names, named(names, f"{kind}s in {order}")


def _check_numbers(label: str, numbers: Sequence[int], request: Request, kind: str) -> None:
    counts, first = collections.Counter(numbers), request.first_label
    expected = range(first, first + request.spec.num_classes)
    if first == 0 and sorted(numbers) == list(range(1, len(expected) + 1)):
        raise GiftError(
            f"{label}: its class {kind}s count from 1 to {len(expected)}, expected 0..{expected[-1]}; say "
            "--first-label 1, or give their order by --class-order"
        )
    outside = (number for number in sorted(counts) if number not in expected)
    wrong = next((number for number in expected if counts[number] != 1), None)
    wrong = next(outside, None) if wrong is None else wrong
    if wrong is not None:
        raise GiftError(
            f"{label}: class {wrong} has {counts[wrong]} {kind}s, but classes {first}..{expected[-1]} must have "
            f"one each; check --dataset, or give the order of the {kind}s by --class-order"
        )


def _ordered_by_file(
    label: str, names: Sequence[str], request: Request, kind: str
) -> tuple[Sequence[str], dict[str, str]]:
    path = request.class_order
    assert path is not None
    order = read_class_order(path, request.spec.num_classes)
    for missing in sorted(set(order) ^ set(names)):
        where = f"is in {path}, but no {kind}" if missing in order else f"is a {kind}, but not in {path}"
        raise GiftError(f"{label}: {missing!r} {where}; name each class {kind} once in --class-order")
    return order, named(order, f"class-order file {path.name}, SHA-256 {sha256(path)}")
