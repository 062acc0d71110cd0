"""Parquet shards of hub datasets, as records: any row in any order, with some row groups kept in memory."""

import collections
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.classes import numbered, order_classes, renumbered
from gift_jax.readers.records import Records, source_digest
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import is_shard, one_split, split_for, split_of_shard

KEPT = 512 << 20  # bytes of row groups that stay in memory


def _shards(source: Source) -> list[str]:
    return sorted(name for name in source.sizes if is_shard(name))


def splits(source: Source) -> list[str | None]:
    """The splits that are there."""
    return list(dict.fromkeys(map(split_of_shard, _shards(source))))


def read(source: Source, request: ReadRequest) -> Records:
    """The rows of one split, in the order of the shards' names. Raises: GiftError if they are of another kind."""
    from gift_jax.readers import parquet  # pyarrow is needed for nothing else

    label, reading = source.label, request.options
    split = split_for(label, splits(source), reading.split, train=request.train)
    shards = one_split(label, [name for name in _shards(source) if split_of_shard(name) == split], split_of_shard, None)
    parquet.check_folder(source, shards)
    num_classes = request.spec.num_classes if request.spec else None
    columns = parquet.columns_of_all(source, shards, reading.label_column, num_classes)
    stored = np.concatenate([parquet.read_labels(source, shard, columns) for shard in shards])
    if len(stored) and stored.min() < 0:
        option = "--split" if request.train else "--test-split"
        raise GiftError(f"{label}: has rows without a class ({columns.label} {stored.min()}); say {option} of another")
    if columns.names:
        parquet.labels_with_names(source, stored, columns)
        order = order_classes(label, columns.names, request.spec, reading.class_order, "class name")
        labels = renumbered(label, stored, columns.names, order)
    else:
        if len(stored) and stored.max() >= 2**20:
            raise GiftError(f"{label}: has a label {stored.max()} in {columns.label}; say another by --label-column")
        order = numbered(label, int(stored.max(initial=-1)) + 1, request.spec, reading.class_order)
        labels = stored.astype(np.int32)
    groups = _Groups(source, shards, columns.image)
    if groups.starts[-1] != len(labels):
        raise GiftError(f"{label}: its shards have {groups.starts[-1]} images, but {len(labels)} labels; copy it again")
    note = f"{f'split {split}, ' if split else ''}column {columns.label}"
    return Records(labels, tuple(order), groups.read, groups.where, source_digest(source, shards), note)


class _Groups:
    """Row groups by need; those read last stay in memory. A copy in another process begins with none."""

    def __init__(self, source: Source, shards: Sequence[str], column: str) -> None:
        from gift_jax.readers import parquet

        self.source, self.column = source, column
        self.places: list[tuple[str, int]] = []
        counts = [0]
        for shard in shards:
            with parquet.opened(source, shard) as file:
                for group in range(file.num_row_groups):
                    parquet.check_group(f"{source.label}: {shard!r}", file, group)
                    self.places.append((shard, group))
                    counts.append(file.metadata.row_group(group).num_rows)
        self.starts = np.cumsum(counts)
        self._forget()

    def _forget(self) -> None:
        self._kept: collections.OrderedDict[int, Any] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _place(self, row: int) -> tuple[int, int]:
        """A row's group among all, and its number in it."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return number, row - int(self.starts[number])

    def where(self, row: int) -> str:
        number, inside = self._place(row)
        shard, group = self.places[number]
        return f"{self.source.label}: {shard!r}, row {inside} of row group {group}"

    def read(self, row: int) -> bytes:
        from gift_jax.readers import parquet

        number, inside = self._place(row)
        return parquet.image_bytes(self.where(row), self._group(number)[inside])

    def _group(self, number: int) -> Any:
        from gift_jax.readers import parquet

        with self._lock:
            if number not in self._kept:
                shard, group = self.places[number]
                with parquet.opened(self.source, shard) as file:
                    self._kept[number] = file.read_row_group(group, columns=[self.column]).column(0)
                if len(self._kept[number]) != self.starts[number + 1] - self.starts[number]:
                    raise GiftError(f"{self.source.label}: {shard!r} has fewer rows than it says; copy it again")
            self._kept.move_to_end(number)
            while len(self._kept) > 1 and sum(column.nbytes for column in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[number]
