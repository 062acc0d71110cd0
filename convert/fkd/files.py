"""Where the batches' files are: a directory, or an archive that is read in place."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported
from gift_jax.sources.archives import open_archive
from gift_jax.sources.source import Source, directory

_NAME = re.compile(r"(?:.*/)?epoch_(\d{1,6})/batch_(\d{1,6})\.tar")


class Place(NamedTuple):
    """The epoch and the batch that a file is of, counted from 0."""

    epoch: int
    batch: int


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    if not path.exists():
        raise GiftError(f"{path}: no such file or directory; check the path")
    with reported(path):
        files = (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)


def open_files(path: Path, stack: contextlib.ExitStack) -> Source:
    """The files of a directory, zip or tar. Raises: GiftError."""
    if path.is_dir():
        return directory(path)
    with reported(path):
        file = stack.enter_context(path.open("rb"))
    files = open_archive(path, str(path), file, stack)
    if files is None:
        raise GiftError(
            f"{path}: neither a directory nor a zip or tar archive; give the released archive or its folder"
        )
    return files


def find_batches(files: Source, epochs: int | None) -> Mapping[str, Place]:
    """Files of the first epochs (None: all), in the order that is cheapest to read.

    Raises: GiftError if there are none, or if one is missing.
    """
    if epochs is not None and epochs < 1:
        raise GiftError(f"--epochs is {epochs}, expected 1 or more")
    found = {name: Place(int(match[1]), int(match[2])) for name in files.sizes if (match := _NAME.fullmatch(name))}
    if not found:
        raise GiftError(f"{files.label}: holds no epoch_0/batch_0.tar; give the directory or archive of soft labels")
    stored = 1 + max(place.epoch for place in found.values())
    if epochs and epochs > stored:
        raise GiftError(f"{files.label}: has {stored} epochs, but --epochs is {epochs}; lower it")
    wanted = {name: place for name, place in found.items() if place.epoch < (epochs or stored)}
    steps = 1 + max(place.batch for place in wanted.values())
    present, whole = set(wanted.values()), (epochs or stored) * steps
    if len(present) != whole or len(wanted) != whole:
        pairs = (Place(epoch, batch) for epoch in range(epochs or stored) for batch in range(steps))
        missing = next((place for place in pairs if place not in present), None)
        where = f"epoch_{missing.epoch}/batch_{missing.batch}.tar is not there" if missing else "has a batch twice"
        raise GiftError(f"{files.label}: {where}; download it again, or lower --epochs")
    return wanted
