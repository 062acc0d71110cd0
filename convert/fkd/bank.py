"""What a bank of soft labels is, and what its layouts share: names of files, and lists of the images' order."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

_LARGEST = 1 << 30  # bytes of a list of images
AGAIN = "download it again, or check --distilled"


class BatchPlace(NamedTuple):
    """The epoch and the batch that a file is of, counted from 0."""

    epoch: int
    batch: int


class Bank(NamedTuple):
    """Files of soft labels.

    places: which batch, or the first batch of which epoch, each file holds, in the order that is cheapest to read.
    order: by epoch, the rows of the set that its batches show one after another; None: records tell, or a sampler.
    epoch_per_file: whether a file holds an epoch's batches. floor_crop_boxes: whether crops are rounded down, on
    tensors. draw: how the authors choose an epoch's batches, a name in `DRAWS`. pruned: whether epochs may lack
    batches.
    """

    places: Mapping[str, BatchPlace]
    order: Mapping[int, np.ndarray] | None
    epoch_per_file: bool = False
    floor_crop_boxes: bool = False
    draw: str = "stored"
    pruned: bool = False


def named(files: Source, pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str]]]:
    """Files whose whole name a pattern matches, with the match."""
    return [(name, match) for name in files.sizes if (match := pattern.fullmatch(name))]


def first_epochs(files: Source, stored: int, epochs: int | None) -> int:
    """How many epochs are wanted of the stored ones. Raises: GiftError if there are fewer."""
    if epochs and epochs > stored:
        raise GiftError(f"{files.label}: has {stored} epochs, but --epochs is {epochs}; lower it")
    return epochs or stored


def list_beside(files: Source, base: str) -> str | None:
    """The file of that base name, None if there is none."""
    return files.find(base) if any(name.rpartition("/")[2] == base for name in files.sizes) else None


def numbered(
    files: Source, pattern: re.Pattern[str], kind: str, order: str, told: str
) -> tuple[dict[str, int], str] | None:
    """The number of each file that a pattern matches, and the list beside them; None if there are no such files.

    Args:
        files: of the bank.
        pattern: of their names, with the number as its group.
        kind: `batch` or `epoch`, with which names begin.
        order: base name of the list.
        told: what the list tells, and what to give, where it is missing.

    Raises:
        GiftError: the list is missing.
    """
    if not (found := {name: int(match[1]) for name, match in named(files, pattern)}):
        return None
    if (listed := list_beside(files, order)) is None:
        raise GiftError(f"{files.label}: holds {kind}_{min(found.values())}.tar, but no {order}, {told}")
    return found, listed


def read_json_order(files: Source, name: str, count: int) -> Mapping[int, np.ndarray]:
    """`check_order` of what a JSON file holds. Raises: GiftError."""
    try:
        content = json.loads(files.read(name, _LARGEST))
    except (ValueError, RecursionError):
        raise GiftError(f"{files.title(name)}: is no JSON file; {AGAIN}") from None
    return check_order(files.title(name), content, count)


def check_order(label: str, content: Any, count: int) -> Mapping[int, np.ndarray]:
    """Rows of the set, int32, by number of an epoch or a batch, out of a dictionary of lists."""
    try:
        order = {int(number): np.asarray(rows) for number, rows in content.items()}
        whole = bool(order) and all(rows.ndim == 1 and rows.dtype.kind == "i" and rows.size for rows in order.values())
    except (AttributeError, TypeError, ValueError, OverflowError):
        whole, order = False, {}
    if not whole:
        raise GiftError(f"{label}: is no dictionary of lists of images' numbers; {AGAIN}")
    if any(rows.min() < 0 or rows.max() >= count for rows in order.values()):
        raise GiftError(f"{label}: names images beyond the {count} of the set; give the whole set by --distilled")
    return {number: rows.astype(np.int32) for number, rows in order.items()}
