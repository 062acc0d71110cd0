"""Labelled image files, wherever they are: what every source of real images is read into."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source
from gift_jax.runtime.files import os_errors_as_gift_error

THREADS, WAITING = 16, 64
LARGEST_FILE = 1 << 30  # bytes of an image file


class Records(NamedTuple):
    """A source in a fixed order: labels int32 [N], names of the classes, and readers of one image each.

    read: row -> the encoded file. where: row -> its name for messages. digest: of what the source holds, in this
    order; labels have no part in it. note: which part of the source it is, in words.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    read: Callable[[int], bytes]
    where: Callable[[int], str]
    digest: str
    note: str = ""


def listing_digest(root: Path, paths: Sequence[Path]) -> str:
    """Digest of files' names below root, sizes and times, and their order: contents are not read for it."""
    with os_errors_as_gift_error(root):
        state = [(path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
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
    source: Source, names: Sequence[str], labels: np.ndarray, classes: Sequence[str], note: str
) -> Records:
    """Records of image files. Args: names in the source; labels int32 [N]; classes, their names by class id."""
    # As one array of bytes: processes that decode get a copy each, and a million Path objects take ten seconds to copy.
    files = np.array([os.fsencode(name) for name in names])
    root, label = source.path if source.path.is_dir() else None, source.label

    def name_of(row: int) -> str:
        return os.fsdecode(files[row])

    def read(row: int) -> bytes:
        return source.read(name_of(row), LARGEST_FILE)

    def where(row: int) -> str:
        return str(root / name_of(row)) if root else f"{label}: {name_of(row)!r}"

    return Records(labels, tuple(classes), read, where, source_digest(source, names), note)


Read = TypeVar("Read")


def decode(records: Records, transform: Callable[[bytes, str], Read], row: int) -> Read | GiftError:
    """Read one image, as the transform gives it. A GiftError is returned: Grain would wrap one that is raised."""
    try:
        return transform(records.read(row), records.where(row))
    except GiftError as error:
        return error
    except OSError as error:
        return GiftError(f"{records.where(row)}: {error.strerror or error}; check the file")


def decoded(
    records: Records, transform: Callable[[bytes, str], Read], rows: Sequence[int] | None = None
) -> Iterator[Read]:
    """Decode images, in order, on all cores, as the transform gives them: uint8 [S, S, C] as a rule.

    Args: rows, which ones, all if not given. Raises: GiftError about the first bad one.
    """
    grain = load_grain()
    # Threads rather than Grain's worker processes: Pillow decodes without holding Python's lock.
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=WAITING)
    chosen = range(len(records.labels)) if rows is None else rows
    decode_row = functools.partial(decode, records, transform)
    for image in grain.MapDataset.source(chosen).map(decode_row).to_iter_dataset(options):
        if isinstance(image, GiftError):
            raise image
        yield image


def load_grain() -> Any:
    """The module grain. Raises: GiftError that says how to install it."""
    try:
        import grain
    except ImportError:
        raise GiftError("reading images needs Grain; run `pip install 'gift-jax[data]'`") from None
    return grain
