"""IDX files, MNIST's format, gzipped or not. Reference: Yann LeCun, "The MNIST database", file format."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from gift_jax.data.arrays import array_records, numbered
from gift_jax.data.records import Records
from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported

PREFIXES = {True: ("train",), False: ("t10k", "test", "val")}
UBYTE = 8  # the type code of unsigned bytes, the only one that MNIST and its kin use


def read_idx(root: Path, *, train: bool) -> Records | None:
    """The images of a split, `train-images-idx3-ubyte[.gz]` and its labels; None if root holds no such files.

    Raises: GiftError if a file is damaged, or one of a pair is missing.
    """
    found = sorted(root.glob("*-idx[13]-ubyte*")) if root.is_dir() else []
    if not found:
        return None
    images, labels = (_find(root, found, part, train) for part in ("images-idx3", "labels-idx1"))
    numbers = read_array(labels, 1)
    return array_records(read_array(images, 3), numbers, numbered(numbers), images)


def _find(root: Path, found: list[Path], part: str, train: bool) -> Path:
    names = [path for path in found if part in path.name and any(word in path.name for word in PREFIXES[train])]
    if not names:
        raise GiftError(f"{root}: has no {PREFIXES[train][0]}-{part}-ubyte beside {found[0].name}; take all four files")
    return names[0]


def read_array(path: Path, dimensions: int) -> np.ndarray:
    """Read one file: uint8, of so many dimensions. Raises: GiftError if it is damaged or of another kind."""
    try:
        with reported(path):
            content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise GiftError(f"{path}: is no readable gzip file ({error}); take it from the source again") from None
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes((0, 0, UBYTE, dimensions)):
        raise GiftError(f"{path}: is no IDX file of bytes in {dimensions} dimensions; take it from the source again")
    shape = tuple(int.from_bytes(content[start : start + 4], "big") for start in range(4, header, 4))
    if len(content) != header + np.prod(shape, dtype=object):
        raise GiftError(
            f"{path}: should hold {list(shape)} bytes, but has {len(content) - header}; it is cut or damaged"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
