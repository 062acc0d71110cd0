"""Layouts that soft labels are released in: which files there are, and where the images' order is."""

import json
from collections.abc import Callable, Mapping, Sequence
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


class BankLayout(NamedTuple):
    """A way of laying files out.

    name, which messages give it; find, `(files, epochs, images of the set) -> Bank`, None if it has none of the files.
    """

    name: str
    find: Callable[[Source, int | None, int], Bank | None]


def find_bank(files: Source, epochs: int | None, count: int, layouts: Sequence[BankLayout]) -> Bank:
    """The one bank that the files are, its first epochs (None: all)."""
    if epochs is not None and epochs < 1:
        raise GiftError(f"--epochs is {epochs}, expected 1 or more")
    banks = {layout.name: bank for layout in layouts if (bank := layout.find(files, epochs, count)) is not None}
    if not banks:
        raise GiftError(
            f"{files.label}: holds no soft labels ({' or '.join(layout.name for layout in layouts)}); give the "
            "directory or archive of soft labels"
        )
    if len(banks) > 1:
        raise GiftError(f"{files.label}: holds several banks ({' and '.join(banks)}); give the directory of one")
    return next(iter(banks.values()))


def first_epochs(files: Source, stored: int, epochs: int | None) -> int:
    """How many epochs are wanted of the stored ones. Raises: GiftError if there are fewer."""
    if epochs and epochs > stored:
        raise GiftError(f"{files.label}: has {stored} epochs, but --epochs is {epochs}; lower it")
    return epochs or stored


def list_beside(files: Source, base: str) -> str | None:
    """The file of that base name, None if there is none."""
    return files.find(base) if any(name.rpartition("/")[2] == base for name in files.sizes) else None


def read_json_order(files: Source, name: str, count: int) -> Mapping[int, np.ndarray]:
    """Rows of the set by number of an epoch or a batch, out of a JSON file. Raises: GiftError."""
    try:
        content = json.loads(files.read(name, _LARGEST))
    except (ValueError, RecursionError):
        raise GiftError(f"{files.title(name)}: is no JSON file; {AGAIN}") from None
    return check_order(files.title(name), content, count)


def check_order(label: str, content: Any, count: int) -> Mapping[int, np.ndarray]:
    """A dictionary of lists of images' numbers as arrays, int32. Raises: GiftError if it is none, or of another set."""
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
