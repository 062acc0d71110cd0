"""`batch_N.tar`: batches of no epoch.

As LPQLD releases soft labels (he-y/soft-label-pruning-quantization-for-dataset-distillation, relabel_and_validate/
generate_soft_label_pruning_batch.py): a pool, of which training draws an epoch's batches without replacement.
"""

import re

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from .bank import Bank, BatchPlace, first_epochs, numbered, read_json_order

_BATCH_OF_POOL = re.compile(r"(?:(?!epoch_\d+/)[^/]*/)*batch_(\d{1,7})\.tar")
_ORDER_OF_POOL = "sampler_indices_batch.json"


def find(files: Source, epochs: int | None, count: int) -> Bank | None:
    """The bank of such files, its first epochs; None if there are none. Raises: GiftError if it is not whole."""
    told = "which tells each batch's images; give the folder with it (LPQLD), or the folder above epoch_0 (SRe2L)"
    if (bank := numbered(files, _BATCH_OF_POOL, "batch", _ORDER_OF_POOL, told)) is None:
        return None
    found, listed = bank
    images, numbers = read_json_order(files, listed, count), set(found.values())
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
    wanted = kept[: steps * first_epochs(files, -(-len(kept) // steps), epochs)]
    places = {number: BatchPlace(*divmod(place, steps)) for place, number in enumerate(wanted)}
    order = {
        start // steps: np.concatenate([images[number] for number in wanted[start:][:steps]])
        for start in range(0, len(wanted), steps)
    }
    chosen = {name: places[number] for name, number in found.items() if number in places}
    return Bank(chosen, order, draw="without_replacement", pruned=True)
