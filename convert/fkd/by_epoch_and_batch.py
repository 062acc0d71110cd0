"""`epoch_E/batch_B.tar`, as SRe2L, G-VBSM, WMDD, EDC and LPLD release soft labels.

Reference: VILA-Lab/SRe2L, relabel/generate_soft_label.py. LPLD (he-y/soft-label-pruning-for-dataset-distillation,
relabel_and_validate/generate_soft_label_pruning.py) drops each epoch's smaller last batch and the last epoch's end, and
lists the images in `sampler_indices_epoch.json`.
"""

import re
from collections import Counter
from collections.abc import Mapping

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from .layouts import Bank, BankLayout, BatchPlace, first_epochs, list_beside, read_json_order

_NAME = re.compile(r"(?:.*/)?epoch_(\d{1,6})/batch_(\d{1,6})\.tar")
ORDER = "sampler_indices_epoch.json"


def find(files: Source, epochs: int | None, count: int) -> Bank | None:
    """Raises: GiftError if a batch is missing, or there twice."""
    found = {name: BatchPlace(int(match[1]), int(match[2])) for name in files.sizes if (match := _NAME.fullmatch(name))}
    if not found:
        return None
    wanted = first_epochs(files, 1 + max(place.epoch for place in found.values()), epochs)
    places = {name: place for name, place in found.items() if place.epoch < wanted}
    steps = 1 + max(place.batch for place in places.values())
    order = read_json_order(files, listed, count) if (listed := list_beside(files, ORDER)) else None
    # Of a pruned bank the last epoch may end anywhere.
    counts = Counter(place.epoch for place in places.values())
    last = counts[wanted - 1] if order else steps
    _check_whole(files, places, {epoch: last if epoch == wanted - 1 else steps for epoch in range(wanted)}, bool(order))
    pruned = order is not None and (last < steps or any(len(rows) < count for rows in order.values()))
    return Bank(places, order, draw="with_replacement" if pruned else "stored", pruned=pruned)


def _check_whole(files: Source, places: Mapping[str, BatchPlace], counts: Mapping[int, int], listed: bool) -> None:
    present = set(places.values())
    expected = [BatchPlace(epoch, batch) for epoch, count in counts.items() for batch in range(count)]
    if len(present) == len(places) == len(expected) and present == set(expected):
        return
    missing = next((place for place in expected if place not in present), None)
    where = f"epoch_{missing.epoch}/batch_{missing.batch}.tar is not there" if missing else "has a batch twice"
    hint = "" if listed or not missing else f" (a pruned bank, as LPLD's, has {ORDER} beside its epochs)"
    raise GiftError(f"{files.label}: {where}{hint}; download it again, or lower --epochs")


LAYOUT = BankLayout("epoch_0/batch_0.tar", find)
