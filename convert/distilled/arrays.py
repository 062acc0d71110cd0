"""Array pairs: images and labels as NumPy arrays, in a directory (`images.npy`, `labels.npy`) or an `.npz`."""

import io
import math
from typing import IO, NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.runtime.progress import display

from .content import Content, Request, first_of_each_class, split_labels
from .source import Source, readable

IMAGES, LABELS = "images.npy", "labels.npy"
LARGEST_LABELS = 2 << 30  # bytes


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype


def read(source: Source, request: Request) -> Content:
    """Read images [N, H, W, C] (uint8, or floats) and labels (ids [N], or logits [N, classes] class by class).

    Only the rows that are kept take memory. Raises: GiftError if the arrays are of another kind, or do not fit.
    """
    images, labels = source.find(IMAGES), source.find(LABELS)
    ids, soft_labels = split_labels(source.label, _read_labels(source, labels), request.spec)
    kept = first_of_each_class(source.label, ids, request)
    label = f"{source.label}: {images!r}"
    with readable(label), source.open(images) as stream:
        header = _header(label, stream, source.sizes[images])
        _check(label, header, len(ids), request)
        pixels = _rows(stream, header, kept)
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        pixels = pixels if header.dtype == np.uint8 else pixels.astype(np.float32)
    return Content(pixels, ids[kept], None if soft_labels is None else soft_labels[kept], len(ids), "in their order")


def _read_labels(source: Source, name: str) -> np.ndarray:
    label, content = f"{source.label}: {name!r}", source.read(name, LARGEST_LABELS)
    with readable(label):
        _header(label, io.BytesIO(content), len(content))
        return np.load(io.BytesIO(content), allow_pickle=False)


def _header(label: str, stream: IO[bytes], size: int) -> _Header:
    """Shape and kind of a `.npy` file of size bytes, read before its values. The stream then stands at the values."""
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(stream)
    if dtype.hasobject:
        raise GiftError(f"{label} holds Python objects, which are not loaded; save it as plain numbers")
    if fortran and len(shape) > 1:
        raise GiftError(f"{label} is in Fortran order; save it again from np.ascontiguousarray")
    if math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise GiftError(f"{label} is not as long as its header says; copy it again")
    return _Header(shape, dtype)


def _check(label: str, header: _Header, count: int, request: Request) -> None:
    shape, channels = header.shape, request.spec.channels
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != channels:
        raise GiftError(f"{label} is {list(shape)}, expected square images, [N, H, W, {channels}]; transpose it")
    if shape[0] != count:
        raise GiftError(f"{label} has {shape[0]} images, but there are {count} labels; take both from one set")
    if header.dtype != np.uint8 and header.dtype.kind != "f":
        raise GiftError(f"{label} is {header.dtype}, expected uint8 or floats; save it as one of them")


def _rows(stream: IO[bytes], header: _Header, kept: np.ndarray) -> np.ndarray:
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
