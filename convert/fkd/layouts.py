"""Layouts that soft labels are released in."""

from collections.abc import Callable, Mapping

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from . import by_epoch, by_epoch_and_batch, flat
from .bank import Bank

# By the name of a first file: `(files, epochs, images of the set) -> Bank`, None if it has none of the files.
LAYOUTS: Mapping[str, Callable[[Source, int | None, int], Bank | None]] = {
    "epoch_0/batch_0.tar": by_epoch_and_batch.find,
    "batch_0.tar": flat.find,
    "epoch_0.tar": by_epoch.find,
}


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
