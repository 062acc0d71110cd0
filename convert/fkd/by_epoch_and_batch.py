"""`epoch_E/batch_B.tar`: a file a batch.

As SRe2L (VILA-Lab/SRe2L, relabel/generate_soft_label.py), G-VBSM, WMDD, EDC and LPLD release soft labels. LPLD
(he-y/soft-label-pruning-for-dataset-distillation, relabel_and_validate/generate_soft_label_pruning.py) drops each
epoch's smaller last batch and the last epoch's end, and lists the images in a file.
"""

import re
from collections import Counter

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from .bank import Bank, BatchPlace, first_epochs, list_beside, named, read_json_order

_BATCH_OF_EPOCH = re.compile(r"(?:.*/)?epoch_(\d{1,6})/batch_(\d{1,6})\.tar")
_ORDER_OF_EPOCHS = "sampler_indices_epoch.json"


def find(files: Source, epochs: int | None, count: int) -> Bank | None:
    """The bank of such files, its first epochs; None if there are none. Raises: GiftError if it is not whole."""
    found = {name: BatchPlace(int(match[1]), int(match[2])) for name, match in named(files, _BATCH_OF_EPOCH)}
    if not found:
        return None
    wanted = first_epochs(files, 1 + max(place.epoch for place in found.values()), epochs)
    places = {name: place for name, place in found.items() if place.epoch < wanted}
    steps = 1 + max(place.batch for place in places.values())
    listed = list_beside(files, _ORDER_OF_EPOCHS)
    order = read_json_order(files, listed, count) if listed else None
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
