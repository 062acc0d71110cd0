"""CIFAR's own files, `cifar-10-batches-py` and `cifar-100-python`, as a directory or the `.tar.gz` of it.

They are pickles, which may run code when read. This reader lets them make NumPy arrays, bytes, text and numbers, and
nothing else. Reference: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import codecs
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct

from gift_jax.data.arrays import array_records
from gift_jax.data.records import Records
from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported

TRAIN10, TEST10 = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
# By the file that tells: batches of a split, then the fields of labels and names.
LAYOUTS = {
    "batches.meta": ({True: TRAIN10, False: TEST10}, "labels", "label_names"),
    "meta": ({True: ("train",), False: ("test",)}, "fine_labels", "fine_label_names"),
}
LARGEST = 2**28  # bytes of a file; the largest of CIFAR has 1.6e8
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


def read_cifar(root: Path, *, train: bool) -> Records | None:
    """The images of a split; None if root holds no such files. Raises: GiftError if one is damaged or unsafe."""
    with reported(root):
        opened = _open(root)
    if opened is None:
        return None
    layout, read = opened
    splits, labels_field, names_field = LAYOUTS[layout]
    meta = _fields(root / layout, read(layout), names_field)
    batches = [_fields(root / name, read(name), "data", labels_field) for name in splits[train]]
    names = tuple(_text(name) for name in meta[names_field])
    try:
        pixels = np.concatenate([np.asarray(batch["data"], np.uint8).reshape(-1, 3, 32, 32) for batch in batches])
        labels = np.concatenate([np.asarray(batch[labels_field], np.int64) for batch in batches])
    except (ValueError, TypeError, OverflowError) as error:
        raise GiftError(f"{root}: its arrays are not CIFAR's ({error}); take it from the source again") from None
    return array_records(pixels.transpose(0, 2, 3, 1), labels, names, root)


def _open(root: Path) -> tuple[str, Callable[[str], bytes]] | None:
    """The layout, and what reads a file of it by name, in a directory or an archive."""
    if root.is_dir():
        places = [root, *(root / name for name in ("cifar-10-batches-py", "cifar-100-python"))]
        found = next(((place, name) for place in places for name in LAYOUTS if (place / name).is_file()), None)
        return found and (found[1], lambda name: _sized(root, (found[0] / name).read_bytes()))
    if not root.name.endswith((".tar.gz", ".tgz", ".tar")) or not root.is_file():
        return None
    try:
        with tarfile.open(root) as archive:
            members = {
                Path(member.name).name: member for member in archive if member.isfile() and member.size < LARGEST
            }
            files = {name: archive.extractfile(member).read() for name, member in members.items()}  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise GiftError(f"{root}: is no readable archive ({error}); take it from the source again") from None
    layout = next((name for name in LAYOUTS if name in files), None)
    return (layout, lambda name: files.get(name, b"")) if layout else None


def _sized(root: Path, content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise GiftError(f"{root}: a file is larger than any of CIFAR; take it from the source again")
    return content


def _fields(path: Path, content: bytes, *names: str) -> dict[str, Any]:
    """Fields of a pickled dictionary. Raises: GiftError if it is something else, or asks for more than arrays."""
    try:
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        found = {_text(name): item for name, item in value.items()}
        return {name: found[name] for name in names}
    except Exception as error:  # a damaged pickle raises what it likes
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise GiftError(f"{path}: is no file of CIFAR ({reason}); take it from the source again") from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
