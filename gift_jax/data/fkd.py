"""Stored soft labels (FKD): for each epoch, every batch's images, crops, flips, mixing and the teacher's logits.

A directory of `fkd.json` and one safetensors file an epoch, which `python -m convert fkd` writes.
Reference: SRe2L's relabelling (Yin et al., 2023), after FKD (Shen & Xing, 2022).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
from safetensors.numpy import save_file

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import GiftError
from gift_jax.pixels.mixing import MIXINGS
from gift_jax.runtime.files import os_errors_as_gift_error, read_json_object, write_text

INFO = "fkd.json"
CROPS = ("bytes", "floats")
_FORMAT = "gift_jax stored soft labels 1"
_REMAKE = "make it again with `python -m convert fkd`"


class StoredBatches(NamedTuple):
    """Batches of one size B, along a first axis of S batches (absent for a single one).

    indices: int32 [S, B], rows of the distilled set; boxes: int16 [S, B, 4], top, left, height and width of the
    crops in pixels; flips: bool [S, B]; partners: int32 [S, B], places in the batch that are mixed in; shares:
    float32 [S], mixup's share of the image itself; mix_boxes: int16 [S, 4], first row and column and those past the
    last of CutMix's box; logits: float16 [S, B, classes], of the mixed images, or softmax probabilities
    (`StoredInfo.temperature`), or the k largest logits (`StoredInfo.top`).
    None where a bank has none: classes, int16 [S, B, k], of the largest logits; weights, float32 [S, B], of the images'
    losses.
    """

    indices: Any
    boxes: Any
    flips: Any
    partners: Any
    shares: Any
    mix_boxes: Any
    logits: Any
    classes: Any = None
    weights: Any = None


@dataclasses.dataclass(frozen=True)
class StoredInfo:
    """What is stored, the content of `fkd.json`.

    mix is a name in `MIXINGS`, image_size in pixels, distilled the digest of the set (`set_digest`), order where the
    images' order comes from.

    top: how many of the largest logits are stored for an image (0: all). temperature: of the softmax whose
    probabilities are stored (0: logits are); centred: logits with a mean of 0 are made of them. crops: `bytes`, resized
    as Pillow's images, or `floats`, as tensors. weighted: whether images' losses have weights. draw: a name in `DRAWS`,
    the batches of an epoch. batches: how many there are in all (0: every epoch is whole); drop_last: images that fill
    no batch are left out of an epoch. content: SHA-256 over the files of all epochs; "" where labels are made as they
    are asked for, and in banks that were imported before it was kept.
    """

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
    top: int = 0
    temperature: float = 0.0
    centred: bool = False
    crops: str = "bytes"
    weighted: bool = False
    draw: str = "stored"
    batches: int = 0
    drop_last: bool = False
    content: str = ""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        full, rest = divmod(self.num_images, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    @property
    def all_batches(self) -> int:
        """Batches in all files."""
        return self.batches or self.epochs * self.steps

    @property
    def whole_epochs(self) -> int:
        """Epochs of which every batch is stored."""
        return self.all_batches // self.steps

    @property
    def record(self) -> dict[str, Any]:
        """All of it as JSON, but for a content that is not known: runs that knew none keep their identity."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "content" or value}

    def describe(self) -> str:
        """What the labels are and which batches an epoch has, in a few words."""
        kind = f"{self.num_classes} logits of an image"
        if self.top:
            kind = f"the {self.top} largest of {kind}"
        elif self.temperature:
            known = "with a mean of 0" if self.centred else "up to a constant"
            kind = f"{kind}, known {known} by probabilities at T = {self.temperature:g}"
        weights = ", weights of the images" if self.weighted else ""
        if self.draw == "stored":
            return f"{kind}{weights}; {self.whole_epochs} epochs as stored"
        how = self.draw.replace("_", " ")
        return f"{kind}{weights}; {self.steps} of {self.all_batches:,} batches an epoch, drawn {how}"

    def compiled(self) -> "StoredInfo":
        """What a step reads of it: all else is left out, so that banks of one kind share a compilation."""
        unread = dict.fromkeys(("dataset", "distilled", "order", "source", "content"), "")
        return dataclasses.replace(self, **unread, epochs=1, draw="stored", batches=0)

    def batches_in(self, number: int) -> int:
        """Batches in the file of an epoch, counted from 0: as many as an epoch has, in the last one maybe fewer."""
        return min(self.steps, self.all_batches - number * self.steps)


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
        """The full batches of an epoch, counted from 0, and the smaller last one, if there is one.

        Of a pool they are drawn by `DRAWS`, the same ones for every seed.
        """
        flat, info = self.flat(number), self.info
        full = info.num_images // info.batch_size if info.draw == "stored" else info.steps
        rest = _batches(flat, full, info.batch_size) if full < len(flat.shares) else None
        return _batches(flat, 0, info.batch_size, full), rest and jax.tree.map(lambda array: array[0], rest)

    def flat(self, number: int) -> StoredBatches:
        """An epoch's batches one after another (first axis: all images, or all batches). Raises: as `epoch`."""
        if self.info.draw == "stored":
            return self._read(number, [(0, self.info.batches_in(number))])[0]
        return self._gather(DRAWS[self.info.draw](self.info, number))

    def _gather(self, picks: np.ndarray) -> StoredBatches:
        """The batches of these numbers, one after another; each file is opened once."""
        numbers, places = np.divmod(picks, self.info.steps)
        parts: dict[int, StoredBatches] = {}
        for number in np.unique(numbers):
            chosen = np.flatnonzero(numbers == number)
            read = self._read(int(number), [(int(place), 1) for place in places[chosen]])
            parts |= zip(chosen.tolist(), read, strict=True)
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *(parts[place] for place in range(len(picks))))

    def _read(self, number: int, runs: Sequence[tuple[int, int]]) -> list[StoredBatches]:
        """Runs of batches, of (first, count), out of the file of an epoch, each one after another."""
        info, path = self.info, epoch_path(self.directory, number)
        try:
            with safetensors.safe_open(path, "numpy") as file:
                held = {name: file.get_slice(name) for name in _shapes(info)}
                for name, array in held.items():
                    if (found := array.get_shape()[:1]) != [expected := _length(info, name, info.batches_in(number))]:
                        raise GiftError(f"{path}: {name} are of {found}, expected [{expected}]; {_REMAKE}")
                read = [
                    StoredBatches(
                        **{
                            name: array[_length(info, name, first) : _length(info, name, first + count)]
                            for name, array in held.items()
                        }
                    )
                    for first, count in runs
                ]
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise GiftError(f"{path}: not readable ({' '.join(str(error).split())}); {_REMAKE}") from None
        for flat, (_, count) in zip(read, runs, strict=True):
            for problem in problems(flat, info, count):
                raise GiftError(f"{path}: {problem}; {_REMAKE}")
        return read


def _batches(flat: StoredBatches, first: int, size: int, count: int = 1) -> StoredBatches:
    """count batches from the first on, out of a flat epoch of batches of size images, the last of them smaller."""
    by_batch = {name: getattr(flat, name)[first:][:count] for name in _BY_BATCH}
    rows = flat._replace(**dict.fromkeys(_BY_BATCH))
    cut = jax.tree.map(lambda array: array[first * size : (first + count) * size], rows)
    return jax.tree.map(lambda array: array.reshape(count, -1, *array.shape[1:]), cut)._replace(**by_batch)


# ---- which batches an epoch has ------------------------------------------------------------------------

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


# ---- what files hold -----------------------------------------------------------------------------------

_BY_BATCH = ("shares", "mix_boxes")


def _shapes(info: StoredInfo) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape, behind the first axis, and type of each array that is stored."""
    wide = info.top or info.num_classes
    return {
        **{"indices": ((), np.int32), "boxes": ((4,), np.int16), "flips": ((), np.bool_), "partners": ((), np.int32)},
        **{"shares": ((), np.float32), "mix_boxes": ((4,), np.int16), "logits": ((wide,), np.float16)},
        **({"classes": ((wide,), np.int16)} if info.top > 0 else {}),
        **({"weights": ((), np.float32)} if info.weighted else {}),
    }


def _length(info: StoredInfo, name: str, batches: int) -> int:
    """Of an array's first axis, for so many batches of an epoch from its first one on."""
    return batches if name in _BY_BATCH else min(batches * info.batch_size, info.num_images)


def problems(flat: StoredBatches, info: StoredInfo, batches: int) -> list[str]:
    """What is wrong with so many batches, one after another (first axis: all images, or all batches)."""
    for name, array in flat._asdict().items():
        if (array is not None) != (name in _shapes(info)):
            return [f"{name} are {'stored, which they should not be' if array is not None else 'not stored'}"]
    for name, (shape, dtype) in _shapes(info).items():
        array, shape = getattr(flat, name), (_length(info, name, batches), *shape)
        if array.shape != shape or array.dtype != dtype:
            return [f"{name} are {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}"]
    count, side, top_classes = len(flat.indices), info.image_size, flat.classes
    top, left, height, width = flat.boxes.T
    batch = np.arange(count) // info.batch_size
    sizes = np.minimum(info.batch_size, count - batch * info.batch_size)
    once = info.draw == "stored" and not info.batches  # each of the set's images, in a file
    checks = {
        "its images are not each of the set's once": not once or (np.sort(flat.indices) == np.arange(count)).all(),
        "an image is not one of the set's": _in_range(flat.indices, info.num_images),
        "an image is in a batch twice": len(np.unique(batch * info.num_images + flat.indices)) == count,
        "a crop lies outside its image": (flat.boxes[:, :2] >= 0).all()
        and (flat.boxes[:, 2:] > 0).all()
        and (top + height <= side).all()
        and (left + width <= side).all(),
        "a partner lies outside its batch": _in_range(flat.partners, sizes),
        "logits are not finite": np.isfinite(flat.logits).all(),
        "a share is not in [0, 1]": ((flat.shares >= 0) & (flat.shares <= 1)).all(),
        "a class is not one of the set's": top_classes is None or _in_range(top_classes, info.num_classes),
        "an image's classes are not different ones": top_classes is None or _different(top_classes),
        "a probability is not in [0, 1]": not info.temperature or ((flat.logits >= 0) & (flat.logits <= 1)).all(),
        "a weight is not above 0": flat.weights is None or (np.isfinite(flat.weights) & (flat.weights > 0)).all(),
    }
    return [problem for problem, holds in checks.items() if not holds]


def _in_range(numbers: np.ndarray, stop: Any) -> bool:
    return bool(((numbers >= 0) & (numbers < stop)).all())


def _different(numbers: np.ndarray) -> bool:
    ordered = np.sort(numbers)
    return bool((ordered[:, 1:] != ordered[:, :-1]).all())


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
    arrays = {name: np.ascontiguousarray(array) for name, array in flat._asdict().items() if array is not None}
    with os_errors_as_gift_error(path):
        save_file(arrays, path)


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
    fields = dataclasses.fields(StoredInfo)
    kinds = {field.name: field.type for field in fields}
    # Banks that were imported before there were others than SRe2L's and G-VBSM's say less.
    content = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING} | content
    if content.keys() != kinds.keys() or any(type(content[name]) is not kind for name, kind in kinds.items()):
        raise GiftError(f"{directory / INFO}: does not hold {', '.join(kinds)} as it should; {_REMAKE}")
    info = StoredInfo(**content)
    can_be = (
        info.mix in MIXINGS
        and info.draw in ("stored", *DRAWS)
        and info.crops in CROPS
        and min(info.num_classes, info.epochs, info.batch_size) > 0
        and info.batch_size <= info.num_images
        and 0 <= info.top <= info.num_classes
        and info.temperature >= 0
        and info.epochs == -(-info.all_batches // info.steps)
        and info.whole_epochs > 0
    )
    if not can_be:
        raise GiftError(f"{directory / INFO}: its mixing or one of its numbers cannot be; {_REMAKE}")
    return StoredLabels(directory, info)
