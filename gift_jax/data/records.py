"""Labelled image files, wherever they are: what every source of real images is read into."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gift_jax.data.transforms import Transform
from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported

THREADS, WAITING = 16, 64


class Records(NamedTuple):
    """A source in a fixed order: labels int32 [N], names of the classes, and readers of one image each.

    read: row -> the encoded file. where: row -> its name for messages. digest: of what the source holds, in this
    order; labels have no part in it.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    read: Callable[[int], bytes]
    where: Callable[[int], str]
    digest: str


def listing_digest(root: Path, paths: Sequence[Path]) -> str:
    """Digest of files' names below root, sizes and times, and their order: contents are not read for it."""
    with reported(root):
        state = [(path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr((root.resolve().as_posix(), state)).encode()).hexdigest()


def decode(records: Records, transform: Callable[[bytes, str], np.ndarray], row: int) -> np.ndarray | GiftError:
    """Read one image: uint8 [S, S, C]. A GiftError about it is returned: Grain would wrap one that is raised."""
    try:
        return transform(records.read(row), records.where(row))
    except GiftError as error:
        return error
    except OSError as error:
        return GiftError(f"{records.where(row)}: {error.strerror or error}; check the file")


def decoded(records: Records, transform: Transform, rows: Sequence[int] | None = None) -> Iterator[np.ndarray]:
    """Decode images, in order, on all cores: uint8 [S, S, C] each.

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
