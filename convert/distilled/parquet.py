"""Distilled sets in Parquet shards: read row group by row group.

Reference: the RethinkDC mirrors `he-yang/2025-rethinkdc-imagenet-*` have the columns image and class_id.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL
import pyarrow as pa

from gift_jax.errors import GiftError
from gift_jax.readers import parquet
from gift_jax.readers.classes import renumbered
from gift_jax.readers.parquet import Columns
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import is_shard, one_split, split_of_shard

from .classes import order_classes
from .content import Content, Request, first_of_each_class
from .decode import Blob, decode, decoder_notes
from .labels import counted_from_zero

BATCH = 64  # images in memory beside the decoded ones


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
    shards = one_split(source.label, sorted(filter(is_shard, source.sizes)), split_of_shard, request.split)
    parquet.check_folder(source, shards)
    columns = parquet.columns_of_all(source, shards, request.label_column)
    stored = np.concatenate([parquet.read_labels(source, shard, columns) for shard in shards])
    labels, notes, first = _class_ids(source, stored, columns, request)
    kept = first_of_each_class(source.label, labels, request)
    decoded = decode(blobs(source, shards, kept, columns.image), len(kept), request.spec.channels, request.image_size)
    split = split_of_shard(shards[0])
    notes |= {"shards": str(len(shards)), "label_column": columns.label, **({"split": split} if split else {})}
    notes |= decoder_notes(decoded, f"Pillow {PIL.__version__}, pyarrow {pa.__version__}")
    return Content(decoded.images, labels[kept], None, len(labels), "in the order of the shards' rows", notes, first)


def _class_ids(
    source: Source, stored: np.ndarray, columns: Columns, request: Request
) -> tuple[np.ndarray, dict[str, str], str | None]:
    """Class ids int32 [N] of stored labels, a note about the names that they are by, and the first name."""
    names = columns.names
    if names is None:
        if request.class_order:
            raise GiftError(f"{source.label}: {columns.label} has no class names; drop --class-order")
        return counted_from_zero(source.label, stored, request), {}, None
    stored = parquet.labels_with_names(source, stored, columns)
    order, classes = order_classes(source.label, names, request, "name")
    return renumbered(source.label, stored, names, order), classes, order[0]


def blobs(source: Source, shards: Sequence[str], kept: np.ndarray, column: str) -> Iterator[Blob]:
    """Image files of a column at the kept rows, in their order; row groups without any are not read."""
    start = place = 0
    for shard in shards:
        with parquet.opened(source, shard) as file:
            for group in range(file.num_row_groups):
                rows = _Rows(shard, group, start, file.metadata.row_group(group).num_rows)
                inside = kept[(kept >= start) & (kept < start + rows.number)] - start
                for row, content in _group(source, file, rows, inside, column):
                    label = f"{source.label}: {shard!r}, row {row} of row group {group}"
                    yield Blob(place, label, functools.partial(bytes, content))
                    place += 1
                start += rows.number


def _group(source: Source, file: Any, rows: _Rows, inside: np.ndarray, column: str) -> Iterator[tuple[int, bytes]]:
    if not len(inside):
        return
    label, position = f"{source.label}: {rows.shard!r}", 0
    parquet.check_group(label, file, rows.group)
    for batch in file.iter_batches(BATCH, row_groups=[rows.group], columns=[column]):
        for row in inside[(inside >= position) & (inside < position + len(batch))].tolist():
            where = f"{label}, row {row} of row group {rows.group}"
            yield row, parquet.image_bytes(where, batch.column(0)[row - position])
        position += len(batch)
