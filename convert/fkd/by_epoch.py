"""`epoch_E.tar`, a list of an epoch's batches, beside `sampler_indices_dict.pt`, as HALD releases soft labels.

Reference: Jiacheng8/HALD, relabel/relabel_slc.py, which stores softmax probabilities, and validate/train_fkd.py, which
crops tensors at coordinates rounded down, and shows all batches of all epochs in a new order each time.
"""

import re

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from ..distilled.data_pt import load_torch
from .layouts import Bank, BankLayout, BatchPlace, check_order, first_epochs, list_beside

_NAME = re.compile(r"(?:.*/)?epoch_(\d{1,6})\.tar")
ORDER = "sampler_indices_dict.pt"


def find(files: Source, epochs: int | None, count: int) -> Bank | None:
    """Raises: GiftError if an epoch or the list of images is missing."""
    found = {name: int(match[1]) for name in files.sizes if (match := _NAME.fullmatch(name))}
    if not found:
        return None
    if (listed := list_beside(files, ORDER)) is None:
        raise GiftError(
            f"{files.label}: holds epoch_{min(found.values())}.tar, but no {ORDER}, which tells the images of each "
            "epoch; give the folder with it (HALD)"
        )
    order = check_order(files.title(listed), load_torch(files, listed), count)
    numbers = set(found.values())
    if len(numbers) < len(found):
        raise GiftError(f"{files.label}: has an epoch twice; give the directory of one bank")
    if missing := sorted(set(range(max(numbers) + 1)) - numbers) or sorted(set(order) ^ numbers):
        lacks = f"epoch_{missing[0]} in {ORDER}" if missing[0] in numbers else f"epoch_{missing[0]}.tar"
        raise GiftError(f"{files.label}: {lacks} is not there; download it again")
    wanted = first_epochs(files, len(numbers), epochs)
    places = {name: BatchPlace(number, 0) for name, number in found.items() if number < wanted}
    return Bank(places, order, epoch_per_file=True, floor_crop_boxes=True, draw="in_turns")


LAYOUT = BankLayout("epoch_0.tar", find)
