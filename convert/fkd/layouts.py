"""Layouts that soft labels are released in: which files there are, and where the images' order is."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from ..distilled.data_pt import load_torch

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


def find_bank(files: Source, epochs: int | None, count: int) -> Bank:
    """The one bank that the files are, its first epochs (None: all). Args: count, images of the set."""
    if epochs is not None and epochs < 1:
        raise GiftError(f"--epochs is {epochs}, expected 1 or more")
    banks = {name: bank for name, find in LAYOUTS.items() if (bank := find(files, epochs, count)) is not None}
    if not banks:
        known = " or ".join(LAYOUTS)
        raise GiftError(f"{files.label}: holds no soft labels ({known}); give the directory or archive of soft labels")
    if len(banks) > 1:
        raise GiftError(f"{files.label}: holds several banks ({' and '.join(banks)}); give the directory of one")
    return next(iter(banks.values()))


# ---- epoch_E/batch_B.tar -------------------------------------------------------------------------------
# As SRe2L (VILA-Lab/SRe2L, relabel/generate_soft_label.py), G-VBSM, WMDD, EDC and LPLD release soft labels. LPLD
# (he-y/soft-label-pruning-for-dataset-distillation, relabel_and_validate/generate_soft_label_pruning.py) drops each
# epoch's smaller last batch and the last epoch's end, and lists the images in a file.
_BATCH_OF_EPOCH = re.compile(r"(?:.*/)?epoch_(\d{1,6})/batch_(\d{1,6})\.tar")
_ORDER_OF_EPOCHS = "sampler_indices_epoch.json"


def _find_batches_of_epochs(files: Source, epochs: int | None, count: int) -> Bank | None:
    found = {name: BatchPlace(int(match[1]), int(match[2])) for name, match in _named(files, _BATCH_OF_EPOCH)}
    if not found:
        return None
    wanted = _first_epochs(files, 1 + max(place.epoch for place in found.values()), epochs)
    places = {name: place for name, place in found.items() if place.epoch < wanted}
    steps = 1 + max(place.batch for place in places.values())
    listed = _list_beside(files, _ORDER_OF_EPOCHS)
    order = _read_json_order(files, listed, count) if listed else None
    # Of a pruned bank the last epoch may end anywhere.
    last = Counter(place.epoch for place in places.values())[wanted - 1] if order else steps
    expected = [
        BatchPlace(epoch, batch) for epoch in range(wanted) for batch in range(last if epoch == wanted - 1 else steps)
    ]
    if sorted(places.values()) != expected:
        missing = min(set(expected) - set(places.values()), default=None)
        where = f"epoch_{missing.epoch}/batch_{missing.batch}.tar is not there" if missing else "has a batch twice"
        hint = f" (a pruned bank, as LPLD's, has {_ORDER_OF_EPOCHS} beside its epochs)" * bool(missing and not order)
        raise GiftError(f"{files.label}: {where}{hint}; download it again, or lower --epochs")
    pruned = order is not None and (last < steps or any(len(rows) < count for rows in order.values()))
    return Bank(places, order, draw="with_replacement" if pruned else "stored", pruned=pruned)


# ---- batch_N.tar ---------------------------------------------------------------------------------------
# As LPQLD releases soft labels (he-y/soft-label-pruning-quantization-for-dataset-distillation, relabel_and_validate/
# generate_soft_label_pruning_batch.py): a pool, of which training draws an epoch's batches without replacement.
_BATCH_OF_POOL = re.compile(r"(?:(?!epoch_\d+/)[^/]*/)*batch_(\d{1,7})\.tar")
_ORDER_OF_POOL = "sampler_indices_batch.json"


def _find_pool(files: Source, epochs: int | None, count: int) -> Bank | None:
    found = {name: int(match[1]) for name, match in _named(files, _BATCH_OF_POOL)}
    if not found:
        return None
    if (listed := _list_beside(files, _ORDER_OF_POOL)) is None:
        raise GiftError(
            f"{files.label}: holds batch_{min(found.values())}.tar, but no {_ORDER_OF_POOL}, which tells each batch's "
            "images; give the folder with it (LPQLD), or the folder above epoch_0 (SRe2L)"
        )
    images, numbers = _read_json_order(files, listed, count), set(found.values())
    if len(numbers) < len(found):
        raise GiftError(f"{files.label}: has a batch twice; give the directory of one bank")
    if missing := sorted(set(images) ^ numbers):
        lacks = f"batch_{missing[0]}.tar" if missing[0] in images else f"batch_{missing[0]} in {_ORDER_OF_POOL}"
        raise GiftError(f"{files.label}: {lacks} is not there; download it again")
    if numbers != set(range(len(numbers))):
        raise GiftError(f"{files.label}: batches are not numbered from 0 on; download it again")
    # Smaller batches, of an epoch's end, are there only if nothing was pruned; an epoch of training has none.
    size = max(map(len, images.values()))
    kept = [number for number in range(len(numbers)) if len(images[number]) == size]
    if len(kept) < len(numbers):
        print(f"leaves    {len(numbers) - len(kept)} batches that are smaller than {size} images", flush=True)
    if (steps := count // size) < 1:
        raise GiftError(f"{files.label}: batches are of {size} images, the set has {count}; give the whole set")
    wanted = kept[: steps * _first_epochs(files, -(-len(kept) // steps), epochs)]
    places = {number: BatchPlace(*divmod(place, steps)) for place, number in enumerate(wanted)}
    order = {
        start // steps: np.concatenate([images[number] for number in wanted[start:][:steps]])
        for start in range(0, len(wanted), steps)
    }
    chosen = {name: places[number] for name, number in found.items() if number in places}
    return Bank(chosen, order, draw="without_replacement", pruned=True)


# ---- epoch_E.tar ---------------------------------------------------------------------------------------
# A list of an epoch's batches, as HALD releases soft labels (Jiacheng8/HALD, relabel/relabel_slc.py, which stores
# softmax probabilities, and validate/train_fkd.py, which crops tensors at coordinates rounded down, and shows all
# batches of all epochs in a new order each time).
_EPOCH = re.compile(r"(?:.*/)?epoch_(\d{1,6})\.tar")
_ORDER_OF_LISTS = "sampler_indices_dict.pt"


def _find_epochs(files: Source, epochs: int | None, count: int) -> Bank | None:
    found = {name: int(match[1]) for name, match in _named(files, _EPOCH)}
    if not found:
        return None
    if (listed := _list_beside(files, _ORDER_OF_LISTS)) is None:
        raise GiftError(
            f"{files.label}: holds epoch_{min(found.values())}.tar, but no {_ORDER_OF_LISTS}, which tells the images "
            "of each epoch; give the folder with it (HALD)"
        )
    order, numbers = _check_order(files.title(listed), load_torch(files, listed), count), set(found.values())
    if len(numbers) < len(found):
        raise GiftError(f"{files.label}: has an epoch twice; give the directory of one bank")
    if missing := sorted(set(range(max(numbers) + 1)) - numbers) or sorted(set(order) ^ numbers):
        lacks = f"epoch_{missing[0]} in {_ORDER_OF_LISTS}" if missing[0] in numbers else f"epoch_{missing[0]}.tar"
        raise GiftError(f"{files.label}: {lacks} is not there; download it again")
    wanted = _first_epochs(files, len(numbers), epochs)
    places = {name: BatchPlace(number, 0) for name, number in found.items() if number < wanted}
    return Bank(places, order, epoch_per_file=True, floor_crop_boxes=True, draw="in_turns")


# By the name of a first file: `(files, epochs, images of the set) -> Bank`, None if it has none of the files.
LAYOUTS: Mapping[str, Callable[[Source, int | None, int], Bank | None]] = {
    "epoch_0/batch_0.tar": _find_batches_of_epochs,
    "batch_0.tar": _find_pool,
    "epoch_0.tar": _find_epochs,
}

# ---- what they share -----------------------------------------------------------------------------------


def _named(files: Source, pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str]]]:
    return [(name, match) for name in files.sizes if (match := pattern.fullmatch(name))]


def _first_epochs(files: Source, stored: int, epochs: int | None) -> int:
    if epochs and epochs > stored:
        raise GiftError(f"{files.label}: has {stored} epochs, but --epochs is {epochs}; lower it")
    return epochs or stored


def _list_beside(files: Source, base: str) -> str | None:
    return files.find(base) if any(name.rpartition("/")[2] == base for name in files.sizes) else None


def _read_json_order(files: Source, name: str, count: int) -> Mapping[int, np.ndarray]:
    try:
        content = json.loads(files.read(name, _LARGEST))
    except (ValueError, RecursionError):
        raise GiftError(f"{files.title(name)}: is no JSON file; {AGAIN}") from None
    return _check_order(files.title(name), content, count)


def _check_order(label: str, content: Any, count: int) -> Mapping[int, np.ndarray]:
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
