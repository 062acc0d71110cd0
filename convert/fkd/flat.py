"""`batch_N.tar` in one folder beside `sampler_indices_batch.json`, as LPQLD releases soft labels.

Reference: he-y/soft-label-pruning-quantization-for-dataset-distillation, relabel_and_validate/
generate_soft_label_pruning_batch.py, whose batches are a pool: training draws an epoch's without replacement.
"""

import re

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from .layouts import Bank, BankLayout, BatchPlace, first_epochs, list_beside, read_json_order

_NAME = re.compile(r"(?:(?!epoch_\d+/)[^/]*/)*batch_(\d{1,7})\.tar")
ORDER = "sampler_indices_batch.json"


def find(files: Source, epochs: int | None, count: int) -> Bank | None:
    """Raises: GiftError if a batch or the list of images is missing, or if batches are not of one size."""
    found = {name: int(match[1]) for name in files.sizes if (match := _NAME.fullmatch(name))}
    if not found:
        return None
    if (listed := list_beside(files, ORDER)) is None:
        raise GiftError(
            f"{files.label}: holds batch_{min(found.values())}.tar, but no {ORDER}, which tells each batch's images; "
            "give the folder with it (LPQLD), or the folder above epoch_0 (SRe2L)"
        )
    images = read_json_order(files, listed, count)
    numbers = set(found.values())
    if len(numbers) < len(found):
        raise GiftError(f"{files.label}: has a batch twice; give the directory of one bank")
    if missing := sorted(set(images) ^ numbers):
        lacks = f"batch_{missing[0]}.tar" if missing[0] in images else f"batch_{missing[0]} in {ORDER}"
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
    wanted = kept[: steps * first_epochs(files, -(-len(kept) // steps), epochs)]
    places = {number: BatchPlace(*divmod(place, steps)) for place, number in enumerate(wanted)}
    order = {
        epoch: np.concatenate([images[number] for number in wanted[epoch * steps :][:steps]])
        for epoch in range(-(-len(wanted) // steps))
    }
    chosen = {name: places[number] for name, number in found.items() if number in places}
    return Bank(chosen, order, draw="without_replacement", pruned=True)


LAYOUT = BankLayout("batch_0.tar", find)
