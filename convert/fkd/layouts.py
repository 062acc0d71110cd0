"""Layouts that soft labels are released in: a bank's files, and the lists of the images' order beside them."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.source import Source

from ..distilled.data_pt import load_torch

_LARGEST = 1 << 30  # bytes of a list of images
AGAIN = "download it again, or check --distilled"
_EPOCH = re.compile(r"(?:.*/)?epoch_(\d{1,6})\.tar")
_BATCH_OF_EPOCH = re.compile(r"(?:.*/)?epoch_(\d{1,6})/batch_(\d{1,6})\.tar")
_BATCH_OF_POOL = re.compile(r"(?:(?!epoch_\d+/)[^/]*/)*batch_(\d{1,7})\.tar")
_ORDER_OF_EPOCHS = "sampler_indices_epoch.json"


class BatchPlace(NamedTuple):
    """The epoch and the batch that a file is of, counted from 0."""

    epoch: int
    batch: int


class Bank(NamedTuple):
    """Files of soft labels.

    places: which batch, or the first batch of which epoch, each file holds, in the order that is cheapest to read.
    order: by epoch, the rows of the set that its batches show one after another; None: records tell, or a sampler.
    draw: how the authors choose an epoch's batches, a name in `DRAWS`. pruned: whether epochs may lack batches.
    epoch_per_file: whether a file holds an epoch's batches, which have probabilities.
    """

    places: Mapping[str, BatchPlace]
    order: Mapping[int, np.ndarray] | None
    draw: str = "stored"
    pruned: bool = False
    epoch_per_file: bool = False

    @property
    def epochs(self) -> int:
        """How many there are."""
        return 1 + max(place.epoch for place in self.places.values())


def find_bank(files: Source, epochs: int | None, count: int) -> Bank:
    """The one bank that the files are, its first epochs (None: all). Args: count, images of the set.

    Raises: GiftError if it is not whole.
    """
    banks = {name: bank for name, find in LAYOUTS.items() if (bank := find(files, epochs, count)) is not None}
    if not banks:
        known = " or ".join(LAYOUTS)
        raise GiftError(f"{files.label}: holds no soft labels ({known}); give the directory or archive of soft labels")
    if len(banks) > 1:
        raise GiftError(f"{files.label}: holds several banks ({' and '.join(banks)}); give the directory of one")
    return next(iter(banks.values()))


def _batches_of_epochs(files: Source, epochs: int | None, count: int) -> Bank | None:
    """As SRe2L (VILA-Lab/SRe2L, relabel/generate_soft_label.py), G-VBSM, WMDD, EDC and LPLD release soft labels."""
    # LPLD (he-y/soft-label-pruning-for-dataset-distillation, relabel_and_validate/generate_soft_label_pruning.py) drops
    # each epoch's smaller last batch and the last epoch's end, and lists the images in a file.
    matches = {name: match.groups() for name in files.sizes if (match := _BATCH_OF_EPOCH.fullmatch(name))}
    found = {name: BatchPlace(*map(int, numbers)) for name, numbers in matches.items()}
    if not found:
        return None
    wanted = _first_epochs(files, 1 + max(place.epoch for place in found.values()), epochs)
    places = {name: place for name, place in found.items() if place.epoch < wanted}
    steps = 1 + max(place.batch for place in places.values())
    order = _read_order(files, _ORDER_OF_EPOCHS, count)
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


def _batches_of_pool(files: Source, epochs: int | None, count: int) -> Bank | None:
    """As LPQLD releases soft labels: a pool, of which training draws an epoch's batches without replacement."""
    # relabel_and_validate/generate_soft_label_pruning_batch.py of
    # he-y/soft-label-pruning-quantization-for-dataset-distillation.
    hint = "each batch's images; give the folder with it (LPQLD), or the folder above epoch_0 (SRe2L)"
    if (found := _numbered(files, "batch", _BATCH_OF_POOL, "sampler_indices_batch.json", hint, count)) is None:
        return None
    numbers, images = found
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
    chosen = {name: places[number] for name, number in numbers.items() if number in places}
    return Bank(chosen, order, draw="without_replacement", pruned=True)


def _epochs(files: Source, epochs: int | None, count: int) -> Bank | None:
    """As HALD releases soft labels: a list of an epoch's batches, of which all are shown each time in a new order."""
    # Jiacheng8/HALD, relabel/relabel_slc.py, which stores softmax probabilities, and validate/train_fkd.py.
    hint = "the images of each epoch; give the folder with it (HALD)"
    if (found := _numbered(files, "epoch", _EPOCH, "sampler_indices_dict.pt", hint, count)) is None:
        return None
    numbers, order = found
    wanted = _first_epochs(files, len(numbers), epochs)
    places = {name: BatchPlace(number, 0) for name, number in numbers.items() if number < wanted}
    return Bank(places, order, draw="in_turns", epoch_per_file=True)


# By the name of a first file: `(files, epochs, images of the set) -> Bank`, None if it has none of the files.
LAYOUTS: Mapping[str, Callable[[Source, int | None, int], Bank | None]] = {
    "epoch_0/batch_0.tar": _batches_of_epochs,
    "batch_0.tar": _batches_of_pool,
    "epoch_0.tar": _epochs,
}


def _first_epochs(files: Source, stored: int, epochs: int | None) -> int:
    """How many epochs are wanted of the stored ones. Raises: GiftError if there are fewer."""
    if epochs and epochs > stored:
        raise GiftError(f"{files.label}: has {stored} epochs, but --epochs is {epochs}; lower it")
    return epochs or stored


def _numbered(
    files: Source, kind: str, pattern: re.Pattern[str], listed: str, hint: str, count: int
) -> tuple[dict[str, int], Mapping[int, np.ndarray]] | None:
    """The number of each file that a pattern matches, and the rows that a list has for each; None of no such files."""
    found = {name: int(match[1]) for name in files.sizes if (match := pattern.fullmatch(name))}
    if not found:
        return None
    numbers = set(found.values())
    if (order := _read_order(files, listed, count)) is None:
        raise GiftError(f"{files.label}: holds {kind}_{min(numbers)}.tar, but no {listed}, which tells {hint}")
    if len(numbers) < len(found):
        raise GiftError(f"{files.label}: has a file of one {kind} twice; give the directory of one bank")
    for number in sorted({*order, *range(max(numbers) + 1)}):
        if number not in numbers or number not in order:
            lacks = f"{kind}_{number} in {listed}" if number in numbers else f"{kind}_{number}.tar"
            raise GiftError(f"{files.label}: {lacks} is not there; download it again")
    return found, order


def _read_order(files: Source, base: str, count: int) -> Mapping[int, np.ndarray] | None:
    """Rows of the set, int32, by number of an epoch or a batch, out of the list of that base name, if there is one."""
    if not any(name.rpartition("/")[2] == base for name in files.sizes):
        return None
    label = files.title(name := files.find(base))
    with damage_as_gift_error(f"{label}: is no JSON file", AGAIN):
        content: Any = json.loads(files.read(name, _LARGEST)) if base.endswith(".json") else load_torch(files, name)
    with damage_as_gift_error(f"{label}: is no dictionary of lists of images' numbers", AGAIN):
        order = {int(number): np.asarray(rows) for number, rows in content.items()}
        if not order or any(rows.ndim != 1 or rows.dtype.kind != "i" or not rows.size for rows in order.values()):
            raise ValueError("empty, or not of whole numbers")
    if any(rows.min() < 0 or rows.max() >= count for rows in order.values()):
        raise GiftError(f"{label}: names images beyond the {count} of the set; give the whole set by --distilled")
    return {number: rows.astype(np.int32) for number, rows in order.items()}
