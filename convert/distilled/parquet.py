"""Parquet shards, as Hugging Face writes data sets of images: read row group by row group.

Reference: the RethinkDC mirrors `he-yang/2025-rethinkdc-imagenet-*` have the columns image and class_id.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq

from gift_jax.errors import GiftError

from .content import Content, Request, first_of_each_class
from .decode import LARGEST_FILE, Blob, decode
from .source import Source, readable

SUFFIX = ".parquet"
LABELS = ("class_id", "label")
BATCH = 64  # images in memory beside the decoded ones
MOST_ROWS = 5_000_000  # in a shard; equal labels take no room in a file, but they do in memory
LARGEST_GROUP = 4 << 30  # bytes of a row group that are read
_EXPECTED = "expected image (bytes, or a struct with bytes) and class_id or label (whole numbers)"


class _Rows(NamedTuple):
    """Rows of one row group of one shard: the number of its first row over all shards, and of rows."""

    shard: str
    group: int
    start: int
    number: int


def read(source: Source, request: Request) -> Content:
    """Read the first ipc images of each class, in the order of the shards' names and of the rows in them.

    Raises: GiftError if the columns are of another kind, or an image is damaged or of another size.
    """
    shards = sorted(name for name in source.sizes if name.lower().endswith(SUFFIX))
    labels = np.concatenate([_labels(source, shard) for shard in shards])
    kept = first_of_each_class(source.label, labels, request)
    images = decode(_blobs(source, shards, kept), len(kept), request.spec.channels)
    notes = {"shards": str(len(shards)), "decoder": f"Pillow {PIL.__version__}, pyarrow {pa.__version__}"}
    return Content(images, labels[kept].astype(np.int32), None, len(labels), "in the order of the shards' rows", notes)


@contextlib.contextmanager
def _opened(source: Source, shard: str) -> Iterator[pq.ParquetFile]:
    with readable(f"{source.label}: {shard!r}"):
        try:
            with source.open(shard) as stream, pq.ParquetFile(stream) as file:
                yield file
        except pa.ArrowException as error:
            raise ValueError(str(error)) from None


def _labels(source: Source, shard: str) -> np.ndarray:
    with _opened(source, shard) as file:
        schema = file.schema_arrow
        name = next((name for name in LABELS if name in schema.names), None)
        image = schema.field("image").type if "image" in schema.names else None
        if name is None or not pa.types.is_integer(schema.field(name).type) or not _holds_bytes(image):
            raise GiftError(f"{source.label}: {shard!r} has the columns {', '.join(schema.names)}; {_EXPECTED}")
        if file.metadata.num_rows > MOST_ROWS:
            raise GiftError(f"{source.label}: {shard!r} has {file.metadata.num_rows:,} rows; write smaller shards")
        column = file.read([name]).column(name)
        if column.null_count:
            raise GiftError(f"{source.label}: {shard!r} has rows without {name}; complete them")
        return column.to_numpy()


def _holds_bytes(kind: pa.DataType | None) -> bool:
    if kind is not None and pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        kind = kind.field(index).type if index >= 0 else None
    return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _blobs(source: Source, shards: Sequence[str], kept: np.ndarray) -> Iterator[Blob]:
    """Image files of the kept rows, in their order; row groups without any are not read."""
    start = place = 0
    for shard in shards:
        with _opened(source, shard) as file:
            for group in range(file.num_row_groups):
                rows = _Rows(shard, group, start, file.metadata.row_group(group).num_rows)
                inside = kept[(kept >= start) & (kept < start + rows.number)] - start
                for row, content in _group(source, file, rows, inside):
                    label = f"{source.label}: {shard!r}, row {row} of row group {group}"
                    yield Blob(place, label, functools.partial(bytes, content))
                    place += 1
                start += rows.number


def _group(source: Source, file: pq.ParquetFile, rows: _Rows, inside: np.ndarray) -> Iterator[tuple[int, bytes]]:
    if not len(inside):
        return
    label, size = f"{source.label}: {rows.shard!r}", file.metadata.row_group(rows.group).total_byte_size
    if size > LARGEST_GROUP:
        raise GiftError(f"{label} has a row group of {size:,} bytes; write it with smaller ones")
    position = 0
    for batch in file.iter_batches(BATCH, row_groups=[rows.group], columns=["image"]):
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
