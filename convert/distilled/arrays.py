"""Array pairs: images and labels as NumPy arrays, under usual names, in a directory of `.npy` files or an `.npz`."""

import math
from pathlib import PurePosixPath
from typing import IO

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.arrays import Header, find_pair, read_header, read_npy
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in
from gift_jax.runtime.progress import display

from ..request import Request
from .content import AXES, Content, axes_of, first_of_each_class
from .labels import read_labels

LARGEST_LABELS = 2 << 30  # bytes


def read(source: Source, request: Request) -> Content:
    """Read images (uint8, or floats), [N, H, W, C] or [N, C, H, W], and labels as `read_labels` has them.

    Only the rows that are kept take memory. Raises: GiftError if the arrays are of another kind, or do not fit.
    """
    images, labels = pair = find_pair(source, request.for_readers())
    read = read_labels(source.label, read_npy(source, labels, LARGEST_LABELS), request)
    kept = first_of_each_class(source.label, read.ids, request)
    label = f"{source.label}: {images!r}"
    with readable(label), source.open(images) as stream:
        refuse_stand_in(label, head_of(stream))
        header = read_header(label, stream, source.sizes[images])
        axes = _check(label, header, len(read.ids), request)
        pixels = _rows(stream, header, kept)
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        pixels = pixels if header.dtype == np.uint8 else pixels.astype(np.float32)
    notes = {"arrays": " and ".join(PurePosixPath(name).stem for name in pair), "labels": read.note, "axes": axes}
    soft_labels = None if read.soft is None else read.soft[kept]
    pixels = pixels.transpose(AXES[axes])
    return Content(pixels, read.ids[kept], soft_labels, len(read.ids), "in their order", notes)


def _check(label: str, header: Header, count: int, request: Request) -> str:
    axes = axes_of(label, header.shape, request)
    if header.shape[0] != count:
        raise GiftError(f"{label} has {header.shape[0]} images, but there are {count} labels; take both from one set")
    if header.dtype != np.uint8 and header.dtype.kind != "f":
        raise GiftError(f"{label} is {header.dtype}, expected uint8 or floats; save it as one of them")
    return axes


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
    return rows
