"""`epoch_E.tar`: a file an epoch.

A list of an epoch's batches, as HALD releases soft labels (Jiacheng8/HALD, relabel/relabel_slc.py, which stores softmax
probabilities, and validate/train_fkd.py, which crops tensors at coordinates rounded down, and shows all batches of all
epochs in a new order each time).
"""

import re

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from ..distilled.data_pt import load_torch
from .bank import Bank, BatchPlace, check_order, first_epochs, numbered

_EPOCH = re.compile(r"(?:.*/)?epoch_(\d{1,6})\.tar")
_ORDER_OF_LISTS = "sampler_indices_dict.pt"


def find(files: Source, epochs: int | None, count: int) -> Bank | None:
    """The bank of such files, its first epochs; None if there are none. Raises: GiftError if it is not whole."""
    told = "which tells the images of each epoch; give the folder with it (HALD)"
    if (bank := numbered(files, _EPOCH, "epoch", _ORDER_OF_LISTS, told)) is None:
        return None
    found, listed = bank
    order, numbers = check_order(files.title(listed), load_torch(files, listed), count), set(found.values())
    if len(numbers) < len(found):
        raise GiftError(f"{files.label}: has an epoch twice; give the directory of one bank")
    if missing := sorted(set(range(max(numbers) + 1)) - numbers) or sorted(set(order) ^ numbers):
        lacks = f"epoch_{missing[0]} in {_ORDER_OF_LISTS}" if missing[0] in numbers else f"epoch_{missing[0]}.tar"
        raise GiftError(f"{files.label}: {lacks} is not there; download it again")
    wanted = first_epochs(files, len(numbers), epochs)
    places = {name: BatchPlace(number, 0) for name, number in found.items() if number < wanted}
    return Bank(places, order, epoch_per_file=True, floor_crop_boxes=True, draw="in_turns")
