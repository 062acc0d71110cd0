"""Images that are stored as arrays: NumPy's `.npz`, or pairs of `.npy`, under the usual names.

A file's header is checked before any value is read, so that nothing in it decides the memory.
"""

import io
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.classes import ClassOrder, hard_labels, numbered_classes
from gift_jax.readers.records import Records, source_digest
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source, readable
from gift_jax.readers.splits_and_pairs import PAIRS, choose_pair, pairs_in

SUFFIX = ".npy"
LARGEST_ARRAY = 64 << 30  # bytes of an array, which is held in memory
_NAMES = {name for pair in PAIRS for name in (pair.images, pair.labels)}


class Header(NamedTuple):
    """Shape and kind of the values."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_header(label: str, stream: IO[bytes], size: int) -> Header:
    """Read the header of a `.npy` file of size bytes. The stream then stands at the values."""
    # The header is parsed as Python, and what is wrong with it can be anything.
    with damage_as_gift_error(f"{label} has no header of an array", "copy it again"):
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    if dtype.hasobject:
        raise GiftError(f"{label} holds Python objects, which are not loaded; save it as plain numbers")
    if fortran and len(shape) > 1:
        raise GiftError(f"{label} is in Fortran order; save it again from np.ascontiguousarray")
    if math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise GiftError(f"{label} is not as long as its header says; copy it again")
    return Header(shape, dtype)


def read_npy(source: Source, name: str, limit: int) -> np.ndarray:
    """A whole array of at most limit bytes. Raises: GiftError if it is damaged or larger."""
    label, content = f"{source.label}: {name!r}", source.read(name, limit)
    with readable(label):
        stream = io.BytesIO(content)
        header = read_header(label, stream, len(content))
        return np.frombuffer(content, header.dtype, offset=stream.tell()).reshape(header.shape)


def is_array(base: str) -> bool:
    """Whether a file of that base name has images or labels under a usual name."""
    return base.endswith(SUFFIX) and base.removesuffix(SUFFIX).lower() in _NAMES


def _stems(source: Source) -> list[str]:
    return [PurePosixPath(name).stem for name in source.sizes if name.endswith(SUFFIX)]


def find_pair(source: Source, request: ReadRequest) -> tuple[str, str]:
    """The files of images and labels. Raises: GiftError if they are not there, or it is not clear which are meant."""
    images, labels, _ = choose_pair(source.label, _stems(source), request)
    return source.find(images + SUFFIX), source.find(labels + SUFFIX)


def splits(source: Source) -> list[str | None]:
    """The splits that are there."""
    return [pair.split for pair in pairs_in(_stems(source))]


def read(source: Source, request: ReadRequest) -> Records:
    """Images and labels of one split. Raises: GiftError if they are of another kind, or damaged."""
    names = find_pair(source, request)
    images, labels = (read_npy(source, name, LARGEST_ARRAY) for name in names)
    ids = hard_labels(labels, request.spec)
    if ids is None:
        kind = f"{labels.dtype}{list(labels.shape)}"
        raise GiftError(f"{source.label}: labels are {kind}, expected class ids [N], whole numbers, or one-hot rows")
    notes = {"arrays": " and ".join(PurePosixPath(name).stem for name in names)}
    return array_records(source, images, *numbered_classes(source.label, ids, request), notes)


def array_records(
    source: Source, images: np.ndarray, labels: np.ndarray, classes: ClassOrder, notes: Mapping[str, str]
) -> Records:
    """Records of labels int [N] and images, uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] of 1 or 3 channels."""
    first = images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3)
    images = images.transpose(0, 2, 3, 1) if first else images
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        kind = f"{images.dtype}{list(images.shape)}"
        raise GiftError(f"{source.label}: images are {kind}, expected uint8 [N, H, W] or [N, H, W, 3]")
    if labels.shape != images.shape[:1] or not images.size:
        raise GiftError(f"{source.label}: has {len(images)} images and {len(labels)} labels; take both from one set")
    pictures, label = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images, source.label

    def read(row: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pictures[row]).save(buffer, "PPM")  # the fastest that Pillow reads without loss
        return buffer.getvalue()

    digest = source_digest(source, list(notes.values()))
    return Records(labels.astype(np.int32), classes, read, lambda row: f"{label}[{row}]", digest, notes)
