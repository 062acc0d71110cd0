"""Distilled sets: images, labels and what was done to the pixels, in one safetensors file."""

import contextlib
import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors
from safetensors.numpy import save_file

from gift_jax.data.datasets import Normalisation, embedded_description, get_dataset, register_embedded_dataset
from gift_jax.data.typed_json import typed
from gift_jax.errors import GiftError
from gift_jax.runtime.files import atomic_write, locked, os_errors_as_gift_error, refuse_to_replace

PixelSpace = Literal["raw", "normalised", "zca"]
PIXEL_SPACES: tuple[str, ...] = typing.get_args(PixelSpace)

_FORMAT = "gift_jax distilled set 2"
_OLD_FORMAT = "gift_jax distilled set 1"  # without a digest; still read
_DIGEST = "sha256"
_EXTRA = ("class_names", "learning_rate", "formation")
_JSON = ("ipc", "classes", "normalisation", *_EXTRA)
_DTYPES = {"U8": np.uint8, "F32": np.float32, "F64": np.float64}  # of images; others are refused as unknown
_PART = 1024  # images that are checked at a time
_REMAKE = "make it again with `python -m convert distilled` or an experiment that distils"


@dataclasses.dataclass(frozen=True, eq=False)
class DistilledSet:
    """A distilled set.

    Args:
        images: uint8 (raw pixels) or float32, [N, H, W, C].
        labels: int32 [N].
        soft_labels: float32 [N, classes], logits stored with the images, or None.
        pixel_space: what was done to the pixels: `raw` (0..255, or [0, 1] if float), `normalised` (with the dataset's
            statistics) or `zca` (whitened).
        dataset: its name.
        method: that made the set.
        ipc: images a class.
        provenance: free text about the source.
        classes: the dataset's class ids that labels 0, 1, ... stand for if the set is of some classes only
            (`experiments.continual_learning.subset.restrict`), None if it is of all.
        normalisation: the statistics of a `normalised` set where its source tells them.
        class_names: by label, () if its source has none.
        learning_rate: that was learned with the images, None if none was.
        formation: along a side, how many of these images one of the source's holds.
    Raises: GiftError if the parts do not fit each other.
    """

    images: np.ndarray
    labels: np.ndarray
    soft_labels: np.ndarray | None
    pixel_space: PixelSpace
    dataset: str
    method: str
    ipc: int
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    classes: tuple[int, ...] | None = None
    normalisation: Normalisation | None = None
    class_names: tuple[str, ...] = ()
    learning_rate: float | None = None
    formation: int = 1

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise GiftError(f"the {self.method} set of {self.dataset}: {problem}")

    def _problems(self) -> typing.Iterator[str]:
        spec = get_dataset(self.dataset)
        images, labels, soft = self.images, self.labels, self.soft_labels
        if self.pixel_space not in PIXEL_SPACES:
            yield f"pixel space {self.pixel_space!r} is unknown; give one of {', '.join(PIXEL_SPACES)}"
        if images.ndim != 4 or images.shape[3] != spec.channels or images.shape[1] != images.shape[2]:
            yield f"images are {list(images.shape)}, expected square ones, [N, H, W, {spec.channels}]"
        if images.dtype not in (np.uint8, np.float32) or (images.dtype == np.uint8 and self.pixel_space != "raw"):
            yield f"{self.pixel_space} images are {images.dtype}; raw ones are uint8 or float32, others float32"
        if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
            yield f"labels are {labels.dtype}{list(labels.shape)}, expected int32[{len(images)}]"
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= self.num_classes:
            yield f"labels must be in 0..{self.num_classes - 1}, one at least; check the dataset's name"
        if soft is not None and (soft.dtype != np.float32 or soft.shape != (len(images), self.num_classes)):
            yield f"soft labels are {soft.dtype}{list(soft.shape)}, expected float32[{len(images)}, {self.num_classes}]"
        for name, array in (("images", images), ("soft labels", soft)):
            if array is not None and array.dtype == np.float32 and not finite(array):
                yield f"its {name} hold values that are not finite; take them from the source again"
        if self.pixel_space == "raw" and images.dtype == np.float32 and (images.min() < 0 or images.max() > 1):
            yield "raw float images must be in [0, 1]; if they were normalised or whitened, say so in pixel_space"
        names, ids = self.class_names, self.classes or ()
        if not isinstance(names, tuple) or len(names) not in (0, self.num_classes):  # of ImageNet's two are `crane`
            yield f"has the class names {names!r:.80}, expected {self.num_classes}, or none, in a tuple"
        if len({*ids}) < len(ids) or not all(0 <= label < spec.num_classes for label in ids):
            yield f"is restricted to the classes {ids}, expected different ones in 0..{spec.num_classes - 1}"
        for name, number in (("ipc", self.ipc), ("formation", self.formation)):
            if not isinstance(number, Integral) or number < 1:
                yield f"{name} is {number!r}, expected a whole number from 1"
        if self.learning_rate is not None and not 0 < self.learning_rate < np.inf:
            yield f"its learning rate is {self.learning_rate}, expected one above 0"
        if self.normalisation and (self.pixel_space, len(self.normalisation.mean)) != ("normalised", spec.channels):
            yield f"a mean and a standard deviation go with normalised pixels, {spec.channels} of each"

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.images.shape[1:]

    @property
    def num_classes(self) -> int:
        """Classes that the labels tell apart: the dataset's, or those that the set was restricted to."""
        return get_dataset(self.dataset).num_classes if self.classes is None else len(self.classes)


def finite(array: np.ndarray) -> bool:
    """By parts, so that a file larger than memory can be checked."""
    return all(np.isfinite(array[start : start + _PART]).all() for start in range(0, len(array), _PART))


def content_digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 of arrays (names, shapes, kinds and values, read by parts) and of the metadata that explain them."""
    kinds = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
    digest = hashlib.sha256(json.dumps([kinds, dict(metadata)], sort_keys=True).encode())
    for _, array in sorted(arrays.items()):
        for start in range(0, len(array), _PART):
            digest.update(np.ascontiguousarray(array[start : start + _PART]).data)
    return digest.hexdigest()


class StoredSet(typing.NamedTuple):
    """A distilled set as it is stored: arrays by name, and metadata with their digest."""

    arrays: Mapping[str, np.ndarray]
    metadata: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the content (`content_digest`)."""
        return self.metadata[_DIGEST]


def to_parts(distilled: DistilledSet) -> StoredSet:
    """Take a distilled set apart; `from_parts` is the inverse."""
    metadata = {
        "format": _FORMAT,
        "pixel_space": distilled.pixel_space,
        "dataset": distilled.dataset,
        "method": distilled.method,
        "ipc": str(distilled.ipc),
        "provenance": json.dumps(dict(distilled.provenance), sort_keys=True),
        "classes": json.dumps(distilled.classes),
        "dataset_description": json.dumps(embedded_description(distilled.dataset)),
        "normalisation": json.dumps(distilled.normalisation and dataclasses.asdict(distilled.normalisation)),
    }
    # What a set may lack is written where it is there: the digests of others stay what they were.
    default = {field.name: field.default for field in dataclasses.fields(DistilledSet)}
    extra = {name: getattr(distilled, name) for name in _EXTRA}
    metadata |= {name: json.dumps(value) for name, value in extra.items() if value != default[name]}
    parts = {"images": distilled.images, "labels": distilled.labels, "soft_labels": distilled.soft_labels}
    arrays = {name: np.ascontiguousarray(array) for name, array in parts.items() if array is not None}
    return StoredSet(arrays, {**metadata, _DIGEST: content_digest(arrays, metadata)})


def save_distilled(path: Path | str, distilled: DistilledSet) -> None:
    """Write a distilled set as safetensors, whole or not at all, with its digest. Raises: GiftError if that fails."""
    arrays, metadata = to_parts(distilled)
    with atomic_write(Path(path)) as temporary, os_errors_as_gift_error(Path(path)):
        save_file(dict(arrays), temporary, dict(metadata))


def save_new_distilled(path: Path, distilled: DistilledSet) -> bool:
    """Write a distilled set where there is none; the same set, whatever made it, is left as it is.

    Returns: whether it was written. Raises: GiftError if something else is there, or the set cannot be written.
    """
    if not path.exists():
        with locked(path, "another process writes this set", wait=True):
            if not path.exists():
                save_distilled(path, distilled)
                return True
    names = [field.name for field in dataclasses.fields(DistilledSet) if field.name != "provenance"]
    with contextlib.suppress(GiftError):  # a damaged file is something else
        found = load_distilled(path)
        if all(np.array_equal(getattr(distilled, name), getattr(found, name)) for name in names):
            return False
    refuse_to_replace(path)


def load_distilled(path: Path | str) -> DistilledSet:
    """Read a file that `save_distilled` wrote, its images mapped and read-only. Raises: GiftError if damaged."""
    path = Path(path)
    if not path.is_file():
        raise GiftError(f"{path}: no such file; {_REMAKE}")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") not in (_FORMAT, _OLD_FORMAT):
                raise GiftError(f"{path}: a safetensors file, but not a distilled set; {_REMAKE}")
            arrays = {name: file.get_tensor(name) for name in file.keys() if name != "images"}  # noqa: SIM118
        arrays["images"] = _mapped(path, "images")
        return from_parts(StoredSet(arrays, metadata), str(path))
    except GiftError as error:
        raise GiftError(f"{path}: {error}" if not str(error).startswith(str(path)) else str(error)) from None
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise GiftError(f"{path}: not a readable distilled set ({error}); {_REMAKE}") from None


def told_by_file(path: Path) -> dict[str, str] | None:
    """What a file that `save_distilled` wrote says of its set, whatever its name; None of any other."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError):
        return None
    return metadata if metadata.get("format") in (_FORMAT, _OLD_FORMAT) else None


def from_parts(parts: StoredSet, where: str) -> DistilledSet:
    """Put a set together. Raises: GiftError, and KeyError, TypeError or ValueError about parts of another kind."""
    arrays, metadata = parts
    digest = metadata.get(_DIGEST)
    undigested = digest is None and metadata["format"] == _OLD_FORMAT
    rest = {name: value for name, value in metadata.items() if name != _DIGEST}
    if not undigested and digest != content_digest(arrays, rest):
        raise GiftError(f"{where}: its content does not fit the digest that was stored with it; copy it again")
    register_embedded_dataset(json.loads(metadata.get("dataset_description", "null")), where)
    provenance = json.loads(metadata["provenance"])
    told = {name: json.loads(metadata[name]) for name in _JSON if name in metadata}
    told = _told_by_provenance(provenance, told.get("classes")) | told
    kinds = typing.get_type_hints(DistilledSet)
    fields: dict[str, typing.Any] = {name: metadata[name] for name in ("pixel_space", "dataset", "method")}
    fields |= {name: typed(kinds[name], value) for name, value in told.items()}
    return DistilledSet(arrays["images"], arrays["labels"], arrays.get("soft_labels"), provenance=provenance, **fields)


def _told_by_provenance(provenance: dict[str, str], classes: Sequence[int] | None) -> dict[str, typing.Any]:
    """What sets that were written before version 0.2 say in their provenance, from which it is taken out."""
    names = json.loads(provenance.pop("class_names", "[]"))
    formation = re.match("each stored image is ([0-9]+) x ", provenance.pop("formation", ""))
    return {
        "class_names": [names[label] for label in classes] if names and classes else names,
        "learning_rate": json.loads(provenance.pop("learning_rate", "null")),
        "formation": int(formation[1]) if formation else 1,
    }


def _mapped(path: Path, name: str) -> np.ndarray:
    """Map an array of a file, which safetensors has found whole, into memory. Reference: the safetensors format."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
    start, shape = 8 + length + entry["data_offsets"][0], tuple(entry["shape"])
    return np.memmap(path, _DTYPES[entry["dtype"]], "r", start, shape)
