"""Decoded images on disk, mapped into memory: the second evaluation decodes nothing."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from gift_jax.data.records import Records, decoded
from gift_jax.data.transforms import Transform
from gift_jax.errors import GiftError
from gift_jax.files import read_json_object, reported, write_text, written_whole
from gift_jax.progress import display

IMAGES, INFO = "images.npy", "info.json"
_SAMPLES, _BLOCK = 64, 4096  # what a check reads: that many blocks of that many bytes, evenly spread
_FORMAT = "gift_jax decoded images 1"


def cached_images(directory: Path, records: Records, transform: Transform) -> np.ndarray:
    """Decode records into a directory, unless they are there; map them into memory.

    What is there is used if source, transform and labels are the same, the file has its length, and a sample of its
    blocks its digest; a flipped bit elsewhere goes unseen. Otherwise it is made again, which standard error says.
    Returns: uint8 [N, S, S, C], read-only.
    """
    place = directory / _key(records, transform)
    if (place / INFO).is_file():
        try:
            return _checked(place)
        except GiftError as error:
            print(f"{error}; decoding again", file=sys.stderr)
    with written_whole(place) as temporary, reported(temporary):
        temporary.mkdir()
        _decode(temporary / IMAGES, records, transform)
        info = {"format": _FORMAT, "bytes": (temporary / IMAGES).stat().st_size, "sample": _sample(temporary / IMAGES)}
        write_text(temporary / INFO, json.dumps(info, indent=2) + "\n")
    return _checked(place)


def _key(records: Records, transform: Transform) -> str:
    described = f"{_FORMAT} {records.digest} {transform} {records.class_names}".encode() + records.labels.tobytes()
    return hashlib.sha256(described).hexdigest()[:24]


def _decode(path: Path, records: Records, transform: Transform) -> None:
    count, side = len(records.labels), transform.crop
    images = open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, side, side, transform.channels))
    with display("decoding", count, "images") as advance:
        for row, image in enumerate(decoded(records, transform)):
            images[row] = image
            advance(1, "")
    images.flush()


def _checked(place: Path) -> np.ndarray:
    info, path = read_json_object(place / INFO), place / IMAGES
    with reported(path):
        found = {"format": _FORMAT, "bytes": path.stat().st_size, "sample": _sample(path)}
    if info != found:
        raise GiftError(f"{place}: these decoded images were damaged or changed")
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _sample(path: Path) -> str:
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for place in np.linspace(0, max(size - _BLOCK, 0), _SAMPLES).astype(int):
            file.seek(int(place))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()
