"""Stored soft labels (FKD): for each epoch, every batch's images, crops, flips, mixing and the teacher's logits.

A directory of `fkd.json` and one safetensors file an epoch, which `python -m convert fkd` writes.
Reference: SRe2L's relabelling (Yin et al., 2023), after FKD (Shen & Xing, 2022).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
from safetensors.numpy import save_file

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.record_set import RecordSet
from gift_jax.data.stored_info import BY_BATCH, CROPS, StoredBatches, StoredInfo, array_length, array_shapes, problems
from gift_jax.data.typed_json import from_json
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.pixels.mixing import MIXINGS
from gift_jax.runtime.files import os_errors_as_gift_error, read_json_object, sha256, write_text
from gift_jax.runtime.progress import display

INFO = "fkd.json"
_FORMAT = "gift_jax stored soft labels 1"
_REMAKE = "make it again with `python -m convert fkd`"
_SEED = 42  # of the draws, which are the same for every seed of a run


def _with_replacement(info: StoredInfo, number: int) -> np.ndarray:
    """The last batch of an epoch gives way to the one before it, as in LPLD's code, where it may be smaller."""
    picks = np.random.default_rng([_SEED, number]).integers(info.all_batches, size=info.steps)
    return picks - (((picks + 1) % info.steps == 0) & (info.steps > 1))


def _without_replacement(info: StoredInfo, number: int) -> np.ndarray:
    return np.random.default_rng([_SEED, number]).choice(info.all_batches, info.steps, replace=False)


def _in_turns(info: StoredInfo, number: int) -> np.ndarray:
    """Every batch once, in a new order each time all were shown."""
    turn, place = divmod(number, info.whole_epochs)
    order = np.random.default_rng([_SEED, turn]).permutation(info.all_batches)
    return order[place * info.steps :][: info.steps]


DRAWS: Mapping[str, Callable[[StoredInfo, int], np.ndarray]] = {
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,
    "in_turns": _in_turns,
}
"""By name, `(info, epoch) -> numbers of an epoch's batches`, drawn from all, which are a pool; `stored` are its own.

Reference: `stored` is SRe2L's, `with_replacement` LPLD's, `without_replacement` LPQLD's and `in_turns` HALD's.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class StoredLabels:
    """A directory of stored soft labels, read an epoch at a time."""

    directory: Path
    info: StoredInfo

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these labels from others, as JSON."""
        return self.info.record

    def epoch(self, number: int) -> tuple[StoredBatches, StoredBatches | None]:
        """The full batches of an epoch, counted from 0, and the smaller last one; of a pool, as `DRAWS` draw them."""
        flat, info = self.flat(number), self.info
        full = info.num_images // info.batch_size if info.draw == "stored" else info.steps
        rest = _batches(flat, full, info.batch_size) if full < len(flat.shares) else None
        return _batches(flat, 0, info.batch_size, full), rest and jax.tree.map(lambda array: array[0], rest)

    def flat(self, number: int) -> StoredBatches:
        """An epoch's batches one after another (first axis: all images, or all batches). Raises: as `epoch`."""
        info = self.info
        if info.draw == "stored":
            return self._read(number, [(0, info.batches_in(number))])[0]
        files, places = np.divmod(DRAWS[info.draw](info, number), info.steps)
        parts: dict[int, StoredBatches] = {}
        for file in np.unique(files):
            chosen = np.flatnonzero(files == file)
            read = self._read(int(file), [(int(place), 1) for place in places[chosen]])
            parts |= zip(chosen.tolist(), read, strict=True)
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *(parts[place] for place in range(len(files))))

    def _read(self, number: int, runs: Sequence[tuple[int, int]]) -> list[StoredBatches]:
        """Runs of batches, of (first, count), out of the file of an epoch, each one after another."""
        info, path = self.info, epoch_path(self.directory, number)
        unreadable = damage_as_gift_error(f"{path}: not readable", _REMAKE)
        with unreadable, safetensors.safe_open(path, "numpy") as file:
            held = {name: file.get_slice(name) for name in array_shapes(info)}
            for name, array in held.items():
                found, expected = array.get_shape()[:1], [array_length(info, name, info.batches_in(number))]
                if found != expected:
                    raise GiftError(f"{path}: {name} are of {found}, expected {expected}; {_REMAKE}")
            read = [StoredBatches(**_cut(held, info, first, first + count)) for first, count in runs]
        for flat, (_, count) in zip(read, runs, strict=True):
            for problem in problems(flat, info, count):
                raise GiftError(f"{path}: {problem}; {_REMAKE}")
        return read


def _cut(held: Mapping[str, Any], info: StoredInfo, first: int, stop: int) -> dict[str, np.ndarray]:
    """Some batches of each array of a file."""
    return {
        name: array[array_length(info, name, first) : array_length(info, name, stop)] for name, array in held.items()
    }


def _batches(flat: StoredBatches, first: int, size: int, count: int = 1) -> StoredBatches:
    """count batches from the first on, out of a flat epoch of batches of size images, the last of them smaller."""
    by_batch = {name: getattr(flat, name)[first:][:count] for name in BY_BATCH}
    rows = flat._replace(**dict.fromkeys(BY_BATCH))
    cut = jax.tree.map(lambda array: array[first * size : (first + count) * size], rows)
    return jax.tree.map(lambda array: array.reshape(count, -1, *array.shape[1:]), cut)._replace(**by_batch)


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


def files_digest(directory: Path) -> str:
    """SHA-256 over the names and digests of the files of all epochs."""
    paths, listing = sorted(directory.glob("epoch_*.safetensors")), hashlib.sha256()
    with display("digesting stored labels", len(paths), "files") as advance:  # of ImageNet-1K up to 120 GB
        for path in paths:
            listing.update(f"{path.name} {sha256(path)}\n".encode())
            advance(1, "")
    return listing.hexdigest()


def save_epoch(directory: Path, number: int, flat: StoredBatches) -> None:
    """Write an epoch's batches, in which `problems` finds none."""
    path = epoch_path(directory, number)
    arrays = {name: np.ascontiguousarray(array) for name, array in flat._asdict().items() if array is not None}
    with os_errors_as_gift_error(path):
        save_file(arrays, path)


def save_info(directory: Path, info: StoredInfo) -> None:
    """Write `fkd.json`."""
    content = {"format": _FORMAT, **dataclasses.asdict(info)}
    write_text(directory / INFO, json.dumps(content, indent=2, sort_keys=True) + "\n")


def load_soft_labels(directory: Path | str) -> StoredLabels:
    """Open a directory that `python -m convert fkd` wrote; epochs are read when asked for.

    All files are digested first: what they hold decides the run, whatever `fkd.json` says. Raises: GiftError.
    """
    directory = Path(directory)
    if not (directory / INFO).is_file():
        raise GiftError(f"{directory}: no stored soft labels here ({INFO} is missing); {_REMAKE}")
    content = read_json_object(directory / INFO)
    if content.pop("format", None) != _FORMAT:
        raise GiftError(f"{directory / INFO}: of another format; {_REMAKE}")
    info = from_json(StoredInfo, content, str(directory / INFO), _REMAKE)
    if not (
        info.mix in MIXINGS
        and info.draw in ("stored", *DRAWS)
        and info.crops in CROPS
        and min(info.num_classes, info.epochs, info.batch_size) > 0
        and info.batch_size <= info.num_images
        and 0 <= info.top <= info.num_classes
        and info.temperature >= 0
        and info.epochs == -(-info.all_batches // info.steps)
        and info.whole_epochs > 0
    ):
        raise GiftError(f"{directory / INFO}: its mixing or one of its numbers cannot be; {_REMAKE}")
    digest = files_digest(directory)
    if info.content not in ("", digest):  # banks that were imported before it was kept have none
        raise GiftError(f"{directory}: its files are not those that were imported; {_REMAKE}")
    return StoredLabels(directory, dataclasses.replace(info, content=digest))
