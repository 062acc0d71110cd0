"""Parquet shards, as Hugging Face writes data sets of images: any row in any order, some row groups kept in memory.

Reference: the RethinkDC mirrors `he-yang/2025-rethinkdc-imagenet-*` have the columns image and class_id.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import GiftError, needing
from gift_jax.readers.classes import named_classes, numbered_classes
from gift_jax.readers.image_files import LARGEST_FILE
from gift_jax.readers.records import Records, source_digest
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in
from gift_jax.readers.splits_and_pairs import choose_split, listed, shards_of, split_of_shard
from gift_jax.readers.text import same_text

with needing("data", "reading Parquet needs pyarrow"):
    import pyarrow as pa
    import pyarrow.parquet as pq

IMAGES = ("image", "img")
LABELS = ("class_id", "label", "labels", "fine_label", "coarse_label")
MOST_ROWS = 5_000_000  # in a shard; equal labels take no room in a file, but they do in memory
LARGEST_GROUP = 4 << 30  # bytes of a row group that are read
KEPT = 512 << 20  # bytes of row groups that stay in memory
_LOCK = threading.Lock()  # of the row groups that are kept
_EXPECTED = "expected image or img (bytes, or a struct with bytes) and class_id or label (whole numbers)"


class Columns(NamedTuple):
    """Names of the columns, and the class names that the schema's metadata has for the labels."""

    image: str
    label: str
    names: tuple[str, ...] | None


def read(source: Source, request: ReadRequest) -> Records:
    """The rows of one split, in the order of the shards' names. Raises: GiftError if they are of another kind."""
    label, options = source.label, request.options
    split = choose_split(label, map(split_of_shard, shards_of(source.sizes)), request)
    shards = [name for name in shards_of(source.sizes) if split_of_shard(name) == split]
    folders = dict.fromkeys(str(PurePosixPath(name).parent) for name in shards)
    if len(folders) > 1:  # they may be several data sets
        raise GiftError(f"{label}: its shards lie in {listed(folders)}; give one of these folders")
    num_classes = request.spec.num_classes if request.spec and request.train is not None else None
    found = {shard: _columns(source, shard, options.label_column, num_classes) for shard in shards}
    columns = found[shards[0]]
    if other := next((shard for shard, its in found.items() if its != columns), None):
        raise GiftError(f"{label}: {shards[0]!r} and {other!r} have other columns or class names; give one set")
    stored = np.concatenate([_read_labels(source, shard, columns) for shard in shards])
    if len(stored) and stored.min() < 0 and request.train is not None:
        option = "`split`" if request.train else "`test_split`"
        raise GiftError(f"{label}: has rows without a class ({columns.label} {stored.min()}); say {option} of another")
    if columns.names:
        labels, order = named_classes(label, stored, columns.names, request)
    else:
        labels, order = numbered_classes(label, stored, request)
    images = ImageColumn(source, shards, columns.image)
    if images.starts[-1] != len(labels):
        raise GiftError(f"{label}: its shards have {images.starts[-1]} images, but {len(labels)} labels; copy it again")
    notes = {"split": split} if split else {}
    notes |= {"shards": str(len(shards)), "label_column": columns.label}
    return Records(labels, order, images.read, images.where, source_digest(source, shards), notes)


def _columns(source: Source, shard: str, label_column: str | None, num_classes: int | None) -> Columns:
    with opened(source, shard) as file:
        schema = file.schema_arrow
    label = f"{source.label}: {shard!r} has the columns {', '.join(schema.names)}"
    if len(set(schema.names)) < len(schema.names):
        raise GiftError(f"{label}, one of them twice; write each once")
    images = [name for name in IMAGES if name in schema.names]
    labels = [label_column] if label_column else [name for name in LABELS if name in schema.names]
    whole = [name for name in labels if name in schema.names and pa.types.is_integer(schema.field(name).type)]
    fitting = [name for name in whole if len(_class_names(schema, name) or ()) == num_classes]
    whole = fitting if len(fitting) == 1 else whole
    if len(whole) > 1:
        raise GiftError(f"{label}; say by `label_column` which of {', '.join(whole)} is meant")
    if label_column and not whole:
        raise GiftError(f"{label}; `label_column` is {label_column!r}, which is none of whole numbers")
    if len(images) != 1 or not whole or not _holds_bytes(schema.field(images[0]).type):
        raise GiftError(f"{label}; {_EXPECTED}")
    return Columns(images[0], whole[0], _class_names(schema, whole[0]))


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Class names of a label column, as Hugging Face's `datasets` writes them into the schema's metadata."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    strings = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    return tuple(map(same_text, names)) if strings else None


@contextlib.contextmanager
def opened(source: Source, shard: str) -> Iterator[pq.ParquetFile]:
    """A shard to read from. Raises: GiftError if it is damaged, also about what is read in the block."""
    label = f"{source.label}: {shard!r}"
    with readable(label), source.open(shard) as stream:
        refuse_stand_in(label, head_of(stream))
        with pq.ParquetFile(stream) as file:
            yield file


def _read_labels(source: Source, shard: str, columns: Columns) -> np.ndarray:
    with opened(source, shard) as file:
        if file.metadata.num_rows > MOST_ROWS:
            raise GiftError(f"{source.label}: {shard!r} has {file.metadata.num_rows:,} rows; write smaller shards")
        column = file.read([columns.label]).column(columns.label)
        if column.null_count:
            raise GiftError(f"{source.label}: {shard!r} has rows without {columns.label}; complete them")
        return column.to_numpy()


def _holds_bytes(kind: pa.DataType | None) -> bool:
    if kind is not None and pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        kind = kind.field(index).type if index >= 0 else None
    return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def check_group(label: str, file: pq.ParquetFile, group: int) -> None:
    """Raises: GiftError if a row group declares more than is read."""
    size = file.metadata.row_group(group).total_byte_size
    if size > LARGEST_GROUP:
        raise GiftError(f"{label} has a row group of {size:,} bytes; write it with smaller ones")


class ImageColumn:
    """The image files of a column, as row groups by need, of which those read last stay in memory.

    starts: the numbers of the groups' first rows over all shards, and of all rows. A copy in another process begins
    with no groups.
    """

    def __init__(self, source: Source, shards: Sequence[str], column: str) -> None:
        self.source, self.column = source, column
        self.places: list[tuple[str, int]] = []
        counts = [0]
        for shard in shards:
            with opened(source, shard) as file:
                for group in range(file.num_row_groups):
                    check_group(f"{source.label}: {shard!r}", file, group)
                    self.places.append((shard, group))
                    counts.append(file.metadata.row_group(group).num_rows)
        self.starts = np.cumsum(counts)
        self._kept: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": {}}

    def _place(self, row: int) -> tuple[int, int]:
        """A row's group among all, and its number in it."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return number, row - int(self.starts[number])

    def where(self, row: int) -> str:
        """A row's name for messages."""
        number, inside = self._place(row)
        shard, group = self.places[number]
        return f"{self.source.label}: {shard!r}, row {inside} of row group {group}"

    def read(self, row: int) -> bytes:
        """The image file of a row."""
        number, inside = self._place(row)
        label, value = self.where(row), self._group(number)[inside].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is None:
            raise GiftError(f"{label} holds no bytes of an image; embed the images when the shards are written")
        if len(content) > LARGEST_FILE:
            raise GiftError(f"{label} has {len(content):,} bytes, more than {LARGEST_FILE:,}; check the source")
        return content

    def _group(self, number: int) -> Any:
        with _LOCK:
            column = self._kept.pop(number, None)
            if column is None:
                shard, group = self.places[number]
                with opened(self.source, shard) as file:
                    column = file.read_row_group(group, columns=[self.column]).column(0)
                if len(column) != self.starts[number + 1] - self.starts[number]:
                    raise GiftError(f"{self.source.label}: {shard!r} has fewer rows than it says; copy it again")
            self._kept[number] = column  # at the end: the first ones were read the longest ago
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > KEPT:
                del self._kept[next(iter(self._kept))]
            return column
