"""Array pairs: images and labels as NumPy arrays, under usual names, in a directory of `.npy` files or an `.npz`."""

import functools
import math
from pathlib import PurePosixPath
from typing import IO

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.arrays import Header, find_pair, read_header, read_npy
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in
from gift_jax.runtime.progress import display

from ..request import Request
from .content import Content, content_of_pair

LARGEST_LABELS = 2 << 30  # bytes


def read(source: Source, request: Request) -> Content:
    """Read images (uint8, or floats), [N, H, W, C] or [N, C, H, W], and labels as `read_labels` has them.

    Only the rows that are kept take memory. Raises: GiftError if the arrays are of another kind, or do not fit.
    """
    images, labels = pair = find_pair(source, request.for_readers())
    numbers, label = read_npy(source, labels, LARGEST_LABELS), f"{source.label}: {images!r}"
    with readable(label), source.open(images) as stream:
        refuse_stand_in(label, head_of(stream))
        header = read_header(label, stream, source.sizes[images])
        if header.dtype != np.uint8 and header.dtype.kind != "f":
            raise GiftError(f"{label} is {header.dtype}, expected uint8 or floats; save it as one of them")
        take = functools.partial(_rows, stream, header)
        content = content_of_pair(source.label, header.shape, numbers, request, take, "in their order")
    arrays = " and ".join(PurePosixPath(name).stem for name in pair)
    return content._replace(notes={"arrays": arrays, **content.notes})


def _rows(stream: IO[bytes], header: Header, kept: np.ndarray) -> np.ndarray:
    """The kept rows. All are read, one by one, because an archive's checksum is of all of them."""
    count, *shape = header.shape
    size = math.prod(shape) * header.dtype.itemsize
    rows, places = np.empty((len(kept), *shape), header.dtype), {row: place for place, row in enumerate(kept.tolist())}
    with display("reading", count, "images") as advance:
        for row in range(count):
            content = stream.read(size)
            if len(content) != size:
                raise EOFError(f"ends in row {row}")
            if row in places:
                rows[places[row]] = np.frombuffer(content, header.dtype).reshape(shape)
            advance(1, "")
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        return rows if header.dtype == np.uint8 else rows.astype(np.float32)
