"""IDX files, MNIST's format, gzipped or not. Reference: Yann LeCun, "The MNIST database", file format."""

import gzip
import io
import re
from pathlib import PurePosixPath

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.arrays import array_records
from gift_jax.readers.classes import numbered_classes
from gift_jax.readers.records import Records
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source, readable
from gift_jax.readers.splits_and_pairs import listed

PREFIXES = {True: ("train",), False: ("t10k", "test", "val")}
UBYTE = 8  # the type code of unsigned bytes, the only one that MNIST and its kin use
LARGEST_ARRAY = 4 << 30  # bytes
_NAME = re.compile(r"(?P<stem>.*(?P<part>images|labels)[-.]idx[13]-ubyte)(\.gz)?")


def is_idx(base: str) -> bool:
    """Whether a file of that base name is one of the four."""
    return _NAME.fullmatch(base) is not None


def splits(source: Source) -> list[str | None]:
    """The splits that are there."""
    return [split for train, split in ((True, "train"), (False, "test")) if _named(source, "images", train)]


def read(source: Source, request: ReadRequest) -> Records:
    """The images of a split, `train-images-idx3-ubyte[.gz]` and its labels."""
    train = request.train is not False
    images, labels = (_find(source, part, train) for part in ("images", "labels"))
    classes = numbered_classes(source.title(labels), read_array(source, labels, 1), request)
    return array_records(source, read_array(source, images, 3), *classes, {"file": PurePosixPath(images).name})


def _named(source: Source, part: str, train: bool) -> dict[str, str]:
    """Files of a part of a split, by their names without `.gz`: the same may lie there both ways."""
    found: dict[str, str] = {}
    for name in sorted(source.sizes):
        match = _NAME.fullmatch(PurePosixPath(name).name)
        if match and match["part"] == part and any(word in match["stem"] for word in PREFIXES[train]):
            found.setdefault(match["stem"], name)
    return found


def _find(source: Source, part: str, train: bool) -> str:
    found = _named(source, part, train)
    if not found:
        first = next(name for name in source.sizes if is_idx(PurePosixPath(name).name))
        wanted = f"{PREFIXES[train][0]}-{part}-idx{3 if part == 'images' else 1}-ubyte"
        raise GiftError(f"{source.label}: has no {wanted} beside {PurePosixPath(first).name}; take all four files")
    if len(found) > 1:
        raise GiftError(f"{source.label}: holds several sets ({listed(found)}); give a directory of one of them")
    return next(iter(found.values()))


def read_array(source: Source, name: str, dimensions: int) -> np.ndarray:
    """Read one file: uint8, of so many dimensions. Raises: GiftError if it is damaged or of another kind."""
    title, content = source.title(name), source.read(name, LARGEST_ARRAY)
    if name.endswith(".gz"):
        with readable(title):
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(LARGEST_ARRAY)
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes((0, 0, UBYTE, dimensions)):
        raise GiftError(f"{title}: is no IDX file of bytes in {dimensions} dimensions; take it from the source again")
    shape = np.frombuffer(content, ">u4", dimensions, 4).tolist()
    if len(content) != header + np.prod(shape, dtype=object):
        raise GiftError(f"{title}: should hold {shape} bytes, but has {len(content) - header}; it is cut or damaged")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
