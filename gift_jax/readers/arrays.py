"""Images that are stored as arrays, as records: NumPy's `.npz`, or pairs of `.npy`, under the usual names."""

import io
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from gift_jax.errors import GiftError
from gift_jax.readers.classes import numbered
from gift_jax.readers.npy import SUFFIX, read_npy
from gift_jax.readers.records import Records, source_digest
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import PAIRS, Pair, only_pair, pairs_in, split_for

LARGEST = 64 << 30  # bytes of an array, which is held in memory
_NAMES = {name for pair in PAIRS for name in (pair.images, pair.labels)}


def is_array(base: str) -> bool:
    """Whether a file of that base name has images or labels under a usual name."""
    return base.endswith(SUFFIX) and base.removesuffix(SUFFIX).lower() in _NAMES


def splits(source: Source) -> list[str | None]:
    """The splits that are there."""
    bases = {PurePosixPath(name).stem.lower() for name in source.sizes if name.endswith(SUFFIX)}
    return [pair.split for pair in PAIRS if {pair.images, pair.labels} <= bases]


def read(source: Source, request: ReadRequest) -> Records:
    """Images and labels of one split. Raises: GiftError if they are of another kind, or damaged."""
    pairs, reading = named_pairs(source), request.options
    split = split_for(source.label, [pair.split for pair in pairs], reading.split, train=request.train)
    pair = only_pair(source.label, [pair for pair in pairs if pair.split == split])
    images, labels = (read_npy(source, source.find(name + SUFFIX), LARGEST) for name in pair[:2])
    labels = class_ids(source.label, labels)
    count = int(labels.max()) + 1 if len(labels) else 0
    names = numbered(source.label, count, request.spec, reading.class_order)
    return array_records(source, images, labels, names, f"arrays {pair.images} and {pair.labels}")


def named_pairs(source: Source) -> list[Pair]:
    """The pairs of arrays under usual names. Raises: GiftError that says what is there instead."""
    return pairs_in(source.label, [PurePosixPath(name).stem for name in source.sizes if name.endswith(SUFFIX)])


def class_ids(label: str, labels: np.ndarray) -> np.ndarray:
    """Labels [N], [N, 1] or one-hot rows, as class ids [N]. Raises: GiftError if they are something else."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim == 2 and labels.dtype.kind in "iufb" and ((labels == 0) | (labels == 1)).all():
        if (labels.sum(1) != 1).any():
            raise GiftError(f"{label}: a row of its one-hot labels names several classes, or none; give class ids")
        return labels.argmax(1)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise GiftError(f"{label}: labels are {labels.dtype}{list(labels.shape)}, expected whole numbers [N]")
    outside = labels[(labels < 0) | (labels >= 2**20)]
    if len(outside):
        raise GiftError(f"{label}: has a label {outside[0]}; expected class ids from 0, check the source")
    return labels


def array_records(source: Source, images: np.ndarray, labels: np.ndarray, names: Sequence[str], note: str) -> Records:
    """Records of arrays. Args: images uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] of 1 or 3 channels; labels int [N].

    Raises: GiftError if these do not fit one another.
    """
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

    return Records(
        labels=labels.astype(np.int32),
        class_names=tuple(names),
        read=read,
        where=lambda row: f"{label}[{row}]",
        digest=source_digest(source, [note]),
        note=note,
    )
