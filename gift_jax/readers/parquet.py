"""Parquet shards, as Hugging Face writes data sets of images: their splits, columns, class names and labels."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in
from gift_jax.readers.splits_and_pairs import listed

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    raise GiftError("reading Parquet needs pyarrow; run `pip install 'gift-jax[data]'`") from None

IMAGES = ("image", "img")
LABELS = ("class_id", "label", "labels", "fine_label", "coarse_label")
MOST_ROWS = 5_000_000  # in a shard; equal labels take no room in a file, but they do in memory
LARGEST_GROUP = 4 << 30  # bytes of a row group that are read
LARGEST_FILE = 32 << 20  # bytes of an image
_EXPECTED = "expected image or img (bytes, or a struct with bytes) and class_id or label (whole numbers)"


class Columns(NamedTuple):
    """Names of the columns, and the class names that the schema's metadata has for the labels."""

    image: str
    label: str
    names: tuple[str, ...] | None


def check_folder(source: Source, shards: Sequence[str]) -> None:
    """Raises: GiftError if shards of one split lie in several folders, which may be several data sets."""
    folders = dict.fromkeys(str(PurePosixPath(name).parent) for name in shards)
    if len(folders) > 1:
        raise GiftError(f"{source.label}: its shards lie in {listed(folders)}; give one of these folders")


def columns_of_all(
    source: Source, shards: Sequence[str], label_column: str | None, num_classes: int | None = None
) -> Columns:
    """The columns of shards. Args: label_column, which one of several; num_classes, which may tell it, too.

    Raises: GiftError if the shards differ, or it is not clear which column is meant.
    """
    found = {shard: _columns(source, shard, label_column, num_classes) for shard in shards}
    columns = found[shards[0]]
    if other := next((shard for shard, its in found.items() if its != columns), None):
        raise GiftError(f"{source.label}: {shards[0]!r} and {other!r} have other columns or class names; give one set")
    return columns


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
        raise GiftError(f"{label}; say by --label-column which of {', '.join(whole)} is meant")
    if label_column and not whole:
        raise GiftError(f"{label}; --label-column is {label_column!r}, which is none of whole numbers")
    if len(images) != 1 or not whole or not _holds_bytes(schema.field(images[0]).type):
        raise GiftError(f"{label}; {_EXPECTED}")
    return Columns(images[0], whole[0], _class_names(schema, whole[0]))


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Class names of a label column, as Hugging Face's `datasets` writes them into the schema's metadata."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        names = feature["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    strings = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    return tuple(names) if strings else None


@contextlib.contextmanager
def opened(source: Source, shard: str) -> Iterator[pq.ParquetFile]:
    """A shard to read from. Raises: GiftError if it is damaged, also about what is read in the block."""
    label = f"{source.label}: {shard!r}"
    with readable(label):
        try:
            with source.open(shard) as stream:
                refuse_stand_in(label, head_of(stream))
                with pq.ParquetFile(stream) as file:
                    yield file
        except pa.ArrowException as error:
            raise ValueError(str(error)) from None


def read_labels(source: Source, shard: str, columns: Columns) -> np.ndarray:
    """A shard's labels, whole numbers [N]. Raises: GiftError if some are missing."""
    with opened(source, shard) as file:
        if file.metadata.num_rows > MOST_ROWS:
            raise GiftError(f"{source.label}: {shard!r} has {file.metadata.num_rows:,} rows; write smaller shards")
        column = file.read([columns.label]).column(columns.label)
        if column.null_count:
            raise GiftError(f"{source.label}: {shard!r} has rows without {columns.label}; complete them")
        return column.to_numpy()


def labels_with_names(source: Source, labels: np.ndarray, columns: Columns) -> np.ndarray:
    """The labels. Raises: GiftError if there is one that has no class name."""
    names = columns.names or ()
    outside = labels[(labels < 0) | (labels >= len(names))]
    if len(outside):
        raise GiftError(f"{source.label}: has a label {outside[0]}, but {len(names)} class names; check the source")
    return labels


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


def image_bytes(label: str, value: Any) -> bytes:
    """The file in an image column's value. Raises: GiftError if there is none, or it is too long."""
    content = value.as_py()
    content = content.get("bytes") if isinstance(content, dict) else content
    if content is None:
        raise GiftError(f"{label} holds no bytes of an image; embed the images when the shards are written")
    if len(content) > LARGEST_FILE:
        raise GiftError(f"{label} has {len(content):,} bytes, more than {LARGEST_FILE:,}; check the source")
    return content
