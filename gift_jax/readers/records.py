"""Labelled image files, wherever they are: what every source of images is read into."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.classes import ClassOrder
from gift_jax.readers.image_files import LARGEST_FILE
from gift_jax.readers.source import Source
from gift_jax.runtime.files import file_state, os_errors_as_gift_error
from gift_jax.runtime.threads import in_order

THREADS = 16


class Records(NamedTuple):
    """A source in a fixed order: labels int32 [N], the classes, and readers of one image each.

    read: row -> the encoded file. where: row -> its name for messages. digest: of what the source holds, in this
    order; labels have no part in it. notes: which part of the source it is, by what says so.
    """

    labels: np.ndarray
    classes: ClassOrder
    read: Callable[[int], bytes]
    where: Callable[[int], str]
    digest: str
    notes: Mapping[str, str] = {}  # never written to

    @property
    def class_names(self) -> tuple[str, ...]:
        """By class id."""
        return self.classes.names

    @property
    def note(self) -> str:
        """The notes in a line."""
        return "; ".join(f"{name}: {note}" for name, note in {**self.notes, "classes": self.classes.note}.items())


def listing_digest(root: Path, paths: Sequence[Path]) -> str:
    """Digest of files' names below root, `file_state`s and their order: contents are not read for it."""
    with os_errors_as_gift_error(root):
        state = [(path.relative_to(root).as_posix(), *file_state(path)) for path in paths]
    return hashlib.sha256(repr((root.resolve().as_posix(), state)).encode()).hexdigest()


def source_digest(source: Source, names: Sequence[str]) -> str:
    """Digest of files of a source and their order, or of the one that the user named and what is taken of it."""
    on_disk = [path for name in names if (path := source.on_disk(name)) and name in source.sizes]
    if len(on_disk) == len(names):
        return listing_digest(source.path if source.path.is_dir() else source.path.parent, on_disk)
    files = sorted(source.sizes) if source.path.is_dir() else []
    state = listing_digest(source.path, [source.path / name for name in files] or [source.path])
    return hashlib.sha256(repr((state, list(names))).encode()).hexdigest()


def file_records(
    source: Source, names: Sequence[str], labels: np.ndarray, classes: ClassOrder, notes: Mapping[str, str]
) -> Records:
    """Records of image files. Args: names in the source; labels int32 [N]."""
    # As one array of bytes: processes that decode get a copy each, and a million Path objects take ten seconds to copy.
    files = np.array([os.fsencode(name) for name in names])

    def name_of(row: int) -> str:
        return os.fsdecode(files[row])

    def read(row: int) -> bytes:
        return source.read(name_of(row), LARGEST_FILE)

    return Records(labels, classes, read, lambda row: source.title(name_of(row)), source_digest(source, names), notes)


def hold_out(records: Records, share: float, *, train: bool) -> Records:
    """The training images, or those held out of them to test on: a share of each class, evenly spread over its rows.

    A class of two or more images keeps one of each kind.
    """
    held = np.zeros(len(records.labels), bool)
    for label in range(len(records.class_names)):
        rows = np.flatnonzero(records.labels == label)
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        held[[rows[len(rows) * part // count - 1] for part in range(1, count + 1)]] = True
    rows = np.flatnonzero(held != train)
    part = f"{'all but' if train else 'only'} {share:g} of each class"
    digest = hashlib.sha256(f"{records.digest} {part}".encode()).hexdigest()
    read, where, notes = records.read, records.where, {**records.notes, "images": part}
    return records._replace(
        labels=records.labels[rows],
        read=lambda row: read(int(rows[row])),
        where=lambda row: where(int(rows[row])),
        digest=digest,
        notes=notes,
    )


Read = TypeVar("Read")


def decode(records: Records, transform: Callable[[bytes, str], Read], row: int) -> Read:
    """Read one image, as the transform gives it. Raises: GiftError if it is damaged."""
    try:
        return transform(records.read(row), records.where(row))
    except OSError as error:
        raise GiftError(f"{records.where(row)}: {error.strerror or error}; check the file") from None


def decoded(
    records: Records, transform: Callable[[bytes, str], Read], rows: Sequence[int] | None = None
) -> Iterator[Read]:
    """Decode images, all or some rows, in order, on all cores. Raises: GiftError about the first bad one."""
    chosen = range(len(records.labels)) if rows is None else rows
    return in_order(lambda row, _: decode(records, transform, row), chosen, THREADS)
