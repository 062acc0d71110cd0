"""CIFAR's own files, `cifar-10-batches-py` and `cifar-100-python`, as a directory or the `.tar.gz` of it.

They are pickles, which may run code when read. This reader lets them make NumPy arrays, bytes, text and numbers, and
nothing else. Reference: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import codecs
import io
import pickle
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct

from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.arrays import array_records
from gift_jax.readers.class_names import KNOWN
from gift_jax.readers.classes import named_classes
from gift_jax.readers.records import Records
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import listed

TRAIN10, TEST10 = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
# By the file that tells: batches for training and for tests, then the fields of labels and names (None: CIFAR-10's).
LAYOUTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str, str | None]] = {
    "batches.meta": (TRAIN10, TEST10, "labels", "label_names"),
    "data_batch_1": (TRAIN10, TEST10, "labels", None),  # copies often lack batches.meta
    "meta": (("train",), ("test",), "fine_labels", "fine_label_names"),
}
LARGEST = 2**28  # bytes of a file; the largest of CIFAR has 1.6e8
_AGAIN = "take it from the source again"
_ALLOWED: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def is_cifar(base: str) -> bool:
    """Whether a file of that base name may tell that the others are CIFAR's."""
    return base in LAYOUTS


def splits(source: Source) -> list[str | None]:
    """Both: CIFAR's files come together."""
    return ["train", "test"] if _layouts(source) else []


def read(source: Source, request: ReadRequest) -> Records:
    """The images of a split. Raises: GiftError if a file is damaged, unsafe or missing."""
    layouts, label = _layouts(source), source.label
    if len(layouts) != 1:
        raise GiftError(f"{label}: holds {listed(layouts)} of CIFAR; give the directory of one of the two")
    path = PurePosixPath(layouts[0])
    train, test, labels_field, names_field = LAYOUTS[path.name]
    usual = [names[0] for names in KNOWN["cifar10"]]
    listed_names = _fields(source, layouts[0], names_field)[names_field] if names_field else usual
    files = test if request.train is False else train
    batches = [_fields(source, str(path.with_name(name)), "data", labels_field) for name in files]
    with damage_as_gift_error(f"{label}: its arrays are not CIFAR's", _AGAIN):
        names = tuple(_text(name) for name in listed_names)
        pixels = np.concatenate([np.asarray(batch["data"]).reshape(-1, 3, 32, 32) for batch in batches])
        labels = np.concatenate([np.asarray(batch[labels_field], np.int64).reshape(-1) for batch in batches])
    notes = {"batches": " and ".join(files)}
    return array_records(source, pixels.transpose(0, 2, 3, 1), *named_classes(label, labels, names, request), notes)


def _layouts(source: Source) -> list[str]:
    """The files that tell a layout, where a batch of it lies beside them; the first batch where no other file does."""
    telling = [name for name in source.sizes if any(batch in source.sizes for batch in _batches(name))]
    metas = {str(PurePosixPath(name).with_name(TRAIN10[0])) for name in telling if name.endswith("batches.meta")}
    return [name for name in telling if name not in metas]


def _batches(name: str) -> list[str]:
    path = PurePosixPath(name)
    train, test, *_ = LAYOUTS.get(path.name, ((), ()))
    return [str(path.with_name(batch)) for batch in (*train, *test)]


def _fields(source: Source, name: str, *fields: str) -> dict[str, Any]:
    title = source.title(name)
    if name not in source.sizes:
        raise GiftError(f"{title}: is not there; {_AGAIN}")
    content = source.read(name, LARGEST)
    with damage_as_gift_error(f"{title}: is no file of CIFAR", _AGAIN):  # a damaged pickle raises what it likes
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        found = {_text(field): item for field, item in value.items()}
        return {field: found[field] for field in fields}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
