"""Decoded images on disk, mapped into memory: the second evaluation decodes nothing."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import PIL

from gift_jax.data.transforms import Transform
from gift_jax.errors import GiftError
from gift_jax.readers.records import Records, decoded
from gift_jax.runtime.files import (
    atomic_write,
    locked,
    make_directory,
    os_errors_as_gift_error,
    read_json_object,
    remove_unfinished,
)
from gift_jax.runtime.progress import display

IMAGES, INFO = "images.npy", "info.json"
_SAMPLES, _BLOCK = 64, 4096  # what a check reads: that many blocks of that many bytes, evenly spread
_FORMAT = "gift_jax decoded images 2"


def cached_images(directory: Path, records: Records, transform: Transform) -> np.ndarray:
    """Decode records into a directory, unless they are there; map them into memory: uint8 [N, S, S, C], read-only.

    What is there is used if source, transform and Pillow are the same (labels do not matter), and its length and a
    sample of its blocks are as written. Otherwise it is made again. Of several processes one decodes, the others wait.
    """
    described = f"{_FORMAT} {PIL.__version__} {records.digest} {transform}"
    place = directory / hashlib.sha256(described.encode()).hexdigest()[:24]
    if (found := _open(place)) is not None:
        return found
    make_directory(directory)
    with locked(directory, "another process decodes images into this", wait=True):
        if (found := _open(place)) is not None:  # another process has made it meanwhile
            return found
        if place.exists():
            print(f"{place}: these decoded images were damaged or changed; decoding again", file=sys.stderr)
        remove_unfinished(directory)
        _write(place, records, transform)
        return np.load(place / IMAGES, mmap_mode="r", allow_pickle=False)


def _write(place: Path, records: Records, transform: Transform) -> None:
    shape = (len(records.labels), transform.crop, transform.crop, transform.channels)
    needed, free = int(np.prod(shape)), shutil.disk_usage(place.parent).free
    if free < needed:
        raise GiftError(
            f"{place.parent}: the decoded images take {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free there; "
            "free some space, or name a directory on a larger disk by XDG_CACHE_HOME"
        )
    with atomic_write(place) as temporary, os_errors_as_gift_error(temporary):
        temporary.mkdir()
        # Not through a memory map: on a disk that fills up it would kill the process instead of raising an error.
        with (temporary / IMAGES).open("wb") as file, display("decoding", shape[0], "images") as advance:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for image in decoded(records, transform):
                file.write(image.tobytes())
                advance(1, "")
            file.flush()
            os.fsync(file.fileno())
        (temporary / INFO).write_text(json.dumps(_info(temporary / IMAGES), indent=2) + "\n")


def _open(place: Path) -> np.ndarray | None:
    """The images at a place, None if they are missing or not as they were written."""
    try:
        info, path = read_json_object(place / INFO), place / IMAGES
        return np.load(path, mmap_mode="r", allow_pickle=False) if info == _info(path) else None
    except (GiftError, OSError, ValueError):
        return None


def _info(path: Path) -> dict[str, str | int]:
    """What tells a file of images from one that was cut or changed: its length and a sample of its blocks."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for place in np.linspace(0, max(size - _BLOCK, 0), _SAMPLES).astype(int):
            file.seek(int(place))
            digest.update(file.read(_BLOCK))
    return {"format": _FORMAT, "bytes": size, "sample": digest.hexdigest()}
