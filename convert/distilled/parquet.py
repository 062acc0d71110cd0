"""Parquet shards, as Hugging Face writes data sets of images: read row group by row group.

Reference: the RethinkDC mirrors `he-yang/2025-rethinkdc-imagenet-*` have the columns image and class_id.
"""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq

from gift_jax.errors import GiftError

from .choices import listed, one_split, split_of_shard
from .classes import order_classes
from .content import Content, Request, first_of_each_class
from .decode import LARGEST_FILE, Blob, decode, decoder_notes
from .labels import counted_from_zero
from .source import Source, head_of, readable, refuse_stand_in

SUFFIX = ".parquet"
IMAGES = ("image", "img")
LABELS = ("class_id", "label", "labels", "fine_label", "coarse_label")
BATCH = 64  # images in memory beside the decoded ones
MOST_ROWS = 5_000_000  # in a shard; equal labels take no room in a file, but they do in memory
LARGEST_GROUP = 4 << 30  # bytes of a row group that are read
_EXPECTED = "expected image or img (bytes, or a struct with bytes) and class_id or label (whole numbers)"


class _Columns(NamedTuple):
    """Names of the columns, and the class names that the schema's metadata has for the labels."""

    image: str
    label: str
    names: tuple[str, ...] | None


class _Rows(NamedTuple):
    """Rows of one row group of one shard: the number of its first row over all shards, and of rows."""

    shard: str
    group: int
    start: int
    number: int


def read(source: Source, request: Request) -> Content:
    """Read the first ipc images of each class of one split, in the order of the shards' names and of the rows in them.

    Raises: GiftError if the columns are of another kind, or an image is damaged or of another size.
    """
    shards = _shards(source, request)
    columns = _columns_of_all(source, shards, request)
    stored = np.concatenate([_labels(source, shard, columns) for shard in shards])
    labels, notes, first = _class_ids(source, stored, columns, request)
    kept = first_of_each_class(source.label, labels, request)
    decoded = decode(_blobs(source, shards, kept, columns.image), len(kept), request.spec.channels)
    split = split_of_shard(shards[0])
    notes |= {"shards": str(len(shards)), "label_column": columns.label, **({"split": split} if split else {})}
    notes |= decoder_notes(decoded, f"Pillow {PIL.__version__}, pyarrow {pa.__version__}")
    return Content(decoded.images, labels[kept], None, len(labels), "in the order of the shards' rows", notes, first)


def _shards(source: Source, request: Request) -> list[str]:
    """The shards of one split, in one folder. Raises: GiftError if several could be meant."""
    shards = sorted(name for name in source.sizes if name.lower().endswith(SUFFIX))
    shards = one_split(source.label, shards, split_of_shard, request.split)
    folders = dict.fromkeys(str(PurePosixPath(name).parent) for name in shards)
    if len(folders) > 1:
        raise GiftError(f"{source.label}: its shards lie in {listed(folders)}; give one of these folders")
    return shards


def _columns_of_all(source: Source, shards: Sequence[str], request: Request) -> _Columns:
    found = {shard: _columns(source, shard, request) for shard in shards}
    columns = found[shards[0]]
    if other := next((shard for shard, its in found.items() if its != columns), None):
        raise GiftError(f"{source.label}: {shards[0]!r} and {other!r} have other columns or class names; give one set")
    return columns


def _columns(source: Source, shard: str, request: Request) -> _Columns:
    with _opened(source, shard) as file:
        schema = file.schema_arrow
    label = f"{source.label}: {shard!r} has the columns {', '.join(schema.names)}"
    if len(set(schema.names)) < len(schema.names):
        raise GiftError(f"{label}, one of them twice; write each once")
    images = [name for name in IMAGES if name in schema.names]
    labels = [request.label_column] if request.label_column else [name for name in LABELS if name in schema.names]
    whole = [name for name in labels if name in schema.names and pa.types.is_integer(schema.field(name).type)]
    if len(whole) > 1:
        raise GiftError(f"{label}; say by --label-column which of {', '.join(whole)} is meant")
    if request.label_column and not whole:
        raise GiftError(f"{label}; --label-column is {request.label_column!r}, which is none of whole numbers")
    if len(images) != 1 or not whole or not _holds_bytes(schema.field(images[0]).type):
        raise GiftError(f"{label}; {_EXPECTED}")
    return _Columns(images[0], whole[0], _class_names(schema, whole[0]))


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Class names of a label column, as Hugging Face's `datasets` writes them into the schema's metadata."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        names = feature["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    strings = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    return tuple(names) if strings else None


def _class_ids(
    source: Source, stored: np.ndarray, columns: _Columns, request: Request
) -> tuple[np.ndarray, dict[str, str], str | None]:
    """Class ids int32 [N] of stored labels, a note about the names that they are by, and the first name."""
    names = columns.names
    if names is None:
        if request.class_order:
            raise GiftError(f"{source.label}: {columns.label} has no class names; drop --class-order")
        return counted_from_zero(source.label, stored, request), {}, None
    outside = stored[(stored < 0) | (stored >= len(names))]
    if len(outside):
        raise GiftError(f"{source.label}: has a label {outside[0]}, but {len(names)} class names; check the source")
    order, note = order_classes(source.label, names, request, "name")
    places = {name: number for number, name in enumerate(order)}
    return np.array([places[name] for name in names], np.int32)[stored], {"classes": note}, order[0]


@contextlib.contextmanager
def _opened(source: Source, shard: str) -> Iterator[pq.ParquetFile]:
    label = f"{source.label}: {shard!r}"
    with readable(label):
        try:
            with source.open(shard) as stream:
                refuse_stand_in(label, head_of(stream))
                with pq.ParquetFile(stream) as file:
                    yield file
        except pa.ArrowException as error:
            raise ValueError(str(error)) from None


def _labels(source: Source, shard: str, columns: _Columns) -> np.ndarray:
    with _opened(source, shard) as file:
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


def _blobs(source: Source, shards: Sequence[str], kept: np.ndarray, column: str) -> Iterator[Blob]:
    """Image files of the kept rows, in their order; row groups without any are not read."""
    start = place = 0
    for shard in shards:
        with _opened(source, shard) as file:
            for group in range(file.num_row_groups):
                rows = _Rows(shard, group, start, file.metadata.row_group(group).num_rows)
                inside = kept[(kept >= start) & (kept < start + rows.number)] - start
                for row, content in _group(source, file, rows, inside, column):
                    label = f"{source.label}: {shard!r}, row {row} of row group {group}"
                    yield Blob(place, label, functools.partial(bytes, content))
                    place += 1
                start += rows.number


def _group(
    source: Source, file: pq.ParquetFile, rows: _Rows, inside: np.ndarray, column: str
) -> Iterator[tuple[int, bytes]]:
    if not len(inside):
        return
    label, size = f"{source.label}: {rows.shard!r}", file.metadata.row_group(rows.group).total_byte_size
    if size > LARGEST_GROUP:
        raise GiftError(f"{label} has a row group of {size:,} bytes; write it with smaller ones")
    position = 0
    for batch in file.iter_batches(BATCH, row_groups=[rows.group], columns=[column]):
        for row in inside[(inside >= position) & (inside < position + len(batch))].tolist():
            yield row, _image_bytes(f"{label}, row {row} of row group {rows.group}", batch.column(0)[row - position])
        position += len(batch)


def _image_bytes(label: str, value: Any) -> bytes:
    content = value.as_py()
    content = content.get("bytes") if isinstance(content, dict) else content
    if content is None:
        raise GiftError(f"{label} holds no bytes of an image; embed the images when the shards are written")
    if len(content) > LARGEST_FILE:
        raise GiftError(f"{label} has {len(content):,} bytes, more than {LARGEST_FILE:,}; check the source")
    return content
