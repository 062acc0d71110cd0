"""Sets of this project as Parquet shards, such as the Hub shows: what is written is read back exactly.

Bytes are PNGs in the column `image`. Floats are numbers in the column `pixels`, and `preview` has something to look at,
so that nobody takes the preview for the pixels. The schema's metadata hold the set's own, with its digest, and what
Hugging Face's `datasets` reads about the columns.
"""

import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import DistilledSet, StoredSet, from_parts, to_parts
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers import parquet
from gift_jax.readers.classes import ClassOrder
from gift_jax.readers.records import Records
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import shards_of
from gift_jax.runtime.files import os_errors_as_gift_error
from gift_jax.runtime.progress import display

from .encoded import decode

OURS, THEIRS = b"gift_jax", b"huggingface"  # keys of the schema's metadata
IMAGE, PREVIEW, PIXELS, LABEL, SHAPE = "image", "preview", "pixels", "label", "image_shape"
ROWS = 100  # of a row group: the Hub's viewer reads one at a time
LARGEST_SHARD = 500_000_000  # bytes of pixels
_DAMAGED = "download it again, or write it again with `python -m convert push`"


def write_shards(directory: Path, distilled: DistilledSet) -> int:
    """Write a set as `train-*.parquet` into a directory that is there. Returns: the number of shards."""
    parts = to_parts(distilled)
    columns = _columns(distilled, parts)
    schema = _schema(distilled, parts, columns)
    images = distilled.images
    count = max(1, math.ceil(images.nbytes / LARGEST_SHARD))
    edges = [len(images) * place // count for place in range(count + 1)]
    with display("writing", len(images), "images") as advance, ThreadPoolExecutor() as pool:
        for number, (start, stop) in enumerate(itertools.pairwise(edges)):
            path = directory / f"train-{number:05d}-of-{count:05d}.parquet"
            with os_errors_as_gift_error(path, pa.ArrowException), pq.ParquetWriter(path, schema) as writer:
                for first in range(start, stop, ROWS):
                    rows = slice(first, min(first + ROWS, stop))
                    pictures = list(pool.map(_png, _pictures(distilled, rows)))
                    files = pa.array([{"bytes": picture, "path": None} for picture in pictures], _PICTURE)
                    others = [_lists(array[rows]) for array in columns.values()]
                    writer.write_table(pa.Table.from_arrays([files, *others], schema=schema))
                    advance(len(pictures), "")
    return count


_PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def _columns(distilled: DistilledSet, parts: StoredSet) -> dict[str, np.ndarray]:
    """What stands beside the pictures: labels, soft labels, and pixels that no picture holds."""
    rest = {name: array for name, array in parts.arrays.items() if name not in ("images", "labels")}
    exact = {PIXELS: parts.arrays["images"]} if distilled.images.dtype != np.uint8 else {}
    return {LABEL: parts.arrays["labels"].astype(np.int64), **rest, **exact}


def _lists(array: np.ndarray) -> pa.Array:
    """[N] as numbers, [N, ...] as lists of one length."""
    flat = pa.array(np.ascontiguousarray(array).ravel())
    return flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, math.prod(array.shape[1:]))


def _schema(distilled: DistilledSet, parts: StoredSet, columns: Mapping[str, np.ndarray]) -> pa.Schema:
    picture = PREVIEW if PIXELS in columns else IMAGE
    fields = [pa.field(picture, _PICTURE), *(pa.field(name, _lists(array[:1]).type) for name, array in columns.items())]
    names = get_dataset(distilled.dataset).class_names if distilled.classes is None else ()
    features = {picture: {"_type": "Image"}, **{name: _feature(array) for name, array in columns.items()}}
    if names:
        features[LABEL] = {"names": list(names), "_type": "ClassLabel"}
    own = {**parts.metadata, SHAPE: json.dumps(distilled.image_shape)}
    return pa.schema(
        fields, {OURS: json.dumps(own).encode(), THEIRS: json.dumps({"info": {"features": features}}).encode()}
    )


def _feature(array: np.ndarray) -> dict[str, Any]:
    value = {"dtype": str(array.dtype), "_type": "Value"}
    return value if array.ndim == 1 else {"feature": value, "length": math.prod(array.shape[1:]), "_type": "Sequence"}


def _pictures(distilled: DistilledSet, rows: slice) -> np.ndarray:
    """Pixels to look at, uint8 [B, H, W, C]; of whitened sets, each stretched between its darkest and brightest."""
    images = distilled.images[rows]
    if images.dtype == np.uint8:
        return images
    if distilled.pixel_space == "normalised":
        statistics = distilled.normalisation or get_dataset(distilled.dataset).normalisation
        images = images * np.array(statistics.std, np.float32) + np.array(statistics.mean, np.float32)
    elif distilled.pixel_space == "zca":
        low, high = (reduce(images, axis=(1, 2, 3), keepdims=True) for reduce in (np.min, np.max))
        images = (images - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
    return stream.getvalue()


def told_by_shards(source: Source) -> dict[str, str] | None:
    """What the shards that `write_shards` wrote say of their set, as `to_parts` has it; None of any other source."""
    schemas = []
    for shard in shards_of(source.sizes):
        with parquet.opened(source, shard) as file:
            schemas.append(file.schema_arrow)
    own = next((schema.metadata[OURS] for schema in schemas if OURS in (schema.metadata or {})), None)
    if own is None:
        return None
    if not all(schema.equals(schemas[0], check_metadata=True) for schema in schemas):
        raise GiftError(f"{source.label}: holds shards of several sets; give the directory of one")
    with _whole(source):
        told = json.loads(own)
        if not all(isinstance(value, str) for value in told.values()) or not int(told["ipc"]):
            raise ValueError("their metadata are of another kind")
        return told


def read_shards(source: Source, told: Mapping[str, str]) -> DistilledSet:
    """The set of shards. Args: told, by themselves. Raises: GiftError if some are missing, damaged or changed."""
    shards = shards_of(source.sizes)
    with _whole(source):
        height, width, channels = json.loads(told[SHAPE])
        columns = _read_columns(source, shards)
        labels = columns.pop(LABEL)
        if (exact := columns.pop(PIXELS, None)) is not None:
            images = exact.reshape(len(labels), height, width, channels)
        else:
            column = parquet.ImageColumn(source, shards, IMAGE)
            records = Records(labels, ClassOrder((), {}, ""), column.read, column.where, "")
            images, _ = decode(records, np.arange(len(labels)), channels=channels)
        arrays = {"images": images, "labels": labels.astype(np.int32), **columns}
        metadata = {name: value for name, value in told.items() if name != SHAPE}
        return from_parts(StoredSet(arrays, metadata), source.label)


def _whole(source: Source) -> AbstractContextManager[None]:
    return damage_as_gift_error(f"{source.label}: its shards are not as they were written", _DAMAGED)


def _read_columns(source: Source, shards: Sequence[str]) -> dict[str, np.ndarray]:
    """All columns but pictures, [N] or [N, length]."""
    tables = []
    for shard in shards:
        with parquet.opened(source, shard) as file:
            if file.metadata.num_rows > parquet.MOST_ROWS:
                raise ValueError(f"{shard!r} has {file.metadata.num_rows:,} rows")
            for group in range(file.num_row_groups):
                parquet.check_group(f"{source.label}: {shard!r}", file, group)
            tables.append(file.read([name for name in file.schema_arrow.names if name not in (IMAGE, PREVIEW)]))
    table, columns = pa.concat_tables(tables), {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if column.null_count:
            raise ValueError(f"there are rows without {name}")
        lists = pa.types.is_fixed_size_list(column.type)
        columns[name] = column.flatten().to_numpy().reshape(len(column), -1) if lists else column.to_numpy()
    return columns
