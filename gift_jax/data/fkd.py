"""Stored soft labels (FKD): for each epoch, every batch's images, crops, flips, mixing and the teacher's logits.

A directory of `fkd.json` and one safetensors file an epoch, which `python -m convert fkd` writes.
Reference: SRe2L's relabelling (Yin et al., 2023), after FKD (Shen & Xing, 2022).
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
from safetensors.numpy import save_file

from gift_jax.augment import MIXINGS
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import GiftError
from gift_jax.runtime.files import read_json_object, reported, write_text

INFO = "fkd.json"
_FORMAT = "gift_jax stored soft labels 1"
_REMAKE = "make it again with `python -m convert fkd`"


class StoredBatches(NamedTuple):
    """Batches of one size B, along a first axis of S batches (absent for a single one).

    indices: int32 [S, B], rows of the distilled set; boxes: int16 [S, B, 4], top, left, height and width of the
    crops in pixels; flips: bool [S, B]; partners: int32 [S, B], places in the batch that are mixed in; shares:
    float32 [S], mixup's share of the image itself; mix_boxes: int16 [S, 4], first row and column and those past the
    last of CutMix's box; logits: float16 [S, B, classes], of the mixed images.
    """

    indices: Any
    boxes: Any
    flips: Any
    partners: Any
    shares: Any
    mix_boxes: Any
    logits: Any


@dataclasses.dataclass(frozen=True)
class StoredInfo:
    """What is stored, the content of `fkd.json`: mix is a name in `MIXINGS`, image_size in pixels, distilled the digest
    of the set (`set_digest`), order where the images' order comes from."""

    dataset: str
    num_images: int
    num_classes: int
    image_size: int
    epochs: int
    batch_size: int
    mix: str
    distilled: str
    order: str
    source: str


@dataclasses.dataclass(frozen=True, eq=False)
class StoredLabels:
    """A directory of stored soft labels, read an epoch at a time."""

    directory: Path
    info: StoredInfo

    def epoch(self, number: int) -> tuple[StoredBatches, StoredBatches | None]:
        """The full batches of an epoch, counted from 0, and the smaller last one, if there is one.

        Raises: GiftError if the file is missing, damaged or does not fit `fkd.json`.
        """
        flat, size, full = self.flat(number), self.info.batch_size, self.info.num_images // self.info.batch_size
        rest = _batches(flat, full, size) if full < len(flat.shares) else None
        return _batches(flat, 0, size, full), rest and StoredBatches(*(array[0] for array in rest))

    def flat(self, number: int) -> StoredBatches:
        """An epoch's batches one after another (first axis: all images, or all batches). Raises: as `epoch`."""
        path = epoch_path(self.directory, number)
        try:
            with safetensors.safe_open(path, "numpy") as file:
                flat = StoredBatches(*(file.get_tensor(name) for name in StoredBatches._fields))
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise GiftError(f"{path}: not readable ({' '.join(str(error).split())}); {_REMAKE}") from None
        for problem in problems(flat, self.info):
            raise GiftError(f"{path}: {problem}; {_REMAKE}")
        return flat


def _batches(flat: StoredBatches, first: int, size: int, count: int = 1) -> StoredBatches:
    """count batches from the first on, out of a flat epoch of batches of size images, the last of them smaller."""
    by_batch = {"shares": flat.shares[first:][:count], "mix_boxes": flat.mix_boxes[first:][:count]}
    rows = slice(first * size, (first + count) * size)
    cut = {name: array[rows] for name, array in flat._asdict().items() if name not in by_batch}
    return StoredBatches(
        **by_batch, **{name: array.reshape(count, -1, *array.shape[1:]) for name, array in cut.items()}
    )


def problems(flat: StoredBatches, info: StoredInfo) -> list[str]:
    """What is wrong with an epoch's batches, one after another (first axis: all images, or all batches)."""
    count, steps, side = info.num_images, -(-info.num_images // info.batch_size), info.image_size
    expected = StoredBatches(
        ((count,), np.int32),
        ((count, 4), np.int16),
        ((count,), np.bool_),
        ((count,), np.int32),
        ((steps,), np.float32),
        ((steps, 4), np.int16),
        ((count, info.num_classes), np.float16),
    )
    for name, array, (shape, dtype) in zip(StoredBatches._fields, flat, expected, strict=True):
        if array.shape != shape or array.dtype != dtype:
            return [f"{name} are {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}"]
    top, left, height, width = flat.boxes.T
    sizes = np.minimum(info.batch_size, count - np.arange(count) // info.batch_size * info.batch_size)
    checks = {
        "its images are not each of the set's once": (np.sort(flat.indices) == np.arange(count)).all(),
        "a crop lies outside its image": (flat.boxes[:, :2] >= 0).all()
        and (flat.boxes[:, 2:] > 0).all()
        and (top + height <= side).all()
        and (left + width <= side).all(),
        "a partner lies outside its batch": ((flat.partners >= 0) & (flat.partners < sizes)).all(),
        "logits are not finite": np.isfinite(flat.logits).all(),
        "a share is not in [0, 1]": ((flat.shares >= 0) & (flat.shares <= 1)).all(),
    }
    return [problem for problem, holds in checks.items() if not holds]


def set_digest(distilled: DistilledSet | RecordSet) -> str:
    """SHA-256 of a set's images and labels, by which stored labels know theirs; of files, their list and treatment."""
    if isinstance(distilled, RecordSet):
        return hashlib.sha256(f"{distilled.records.digest} {distilled.transform}".encode()).hexdigest()
    digest = hashlib.sha256(repr((distilled.images.shape, str(distilled.images.dtype))).encode())
    for array in (distilled.images, distilled.labels):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def epoch_path(directory: Path, number: int) -> Path:
    """The file of an epoch, counted from 0."""
    return directory / f"epoch_{number:04d}.safetensors"


def save_epoch(directory: Path, number: int, flat: StoredBatches) -> None:
    """Write an epoch's batches, in which `problems` finds none."""
    path = epoch_path(directory, number)
    with reported(path):
        save_file({name: np.ascontiguousarray(array) for name, array in flat._asdict().items()}, path)


def save_info(directory: Path, info: StoredInfo) -> None:
    """Write `fkd.json`."""
    content = {"format": _FORMAT, **dataclasses.asdict(info)}
    write_text(directory / INFO, json.dumps(content, indent=2, sort_keys=True) + "\n")


def load_soft_labels(directory: Path | str) -> StoredLabels:
    """Open a directory that `python -m convert fkd` wrote; epochs are read when asked for. Raises: GiftError."""
    directory = Path(directory)
    if not (directory / INFO).is_file():
        raise GiftError(f"{directory}: no stored soft labels here ({INFO} is missing); {_REMAKE}")
    content = read_json_object(directory / INFO)
    if content.pop("format", None) != _FORMAT:
        raise GiftError(f"{directory / INFO}: of another format; {_REMAKE}")
    kinds = {field.name: field.type for field in dataclasses.fields(StoredInfo)}
    if content.keys() != kinds.keys() or any(type(content[name]) is not kind for name, kind in kinds.items()):
        raise GiftError(f"{directory / INFO}: does not hold {', '.join(kinds)} as it should; {_REMAKE}")
    info = StoredInfo(**content)
    if info.mix not in MIXINGS or min(info.num_images, info.num_classes, info.epochs, info.batch_size) < 1:
        raise GiftError(f"{directory / INFO}: its mixing or one of its numbers cannot be; {_REMAKE}")
    return StoredLabels(directory, info)
