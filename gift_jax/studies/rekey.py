"""Results under keys of an earlier version: a row that records what a cell is gets the cell's key."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gift_jax.runtime.files import locked, write_text
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid import GRIDS, Row, name_of
from gift_jax.studies.results import read_results
from gift_jax.training.identity import differences, fingerprint


def rekey(cells: Sequence[Cell], out: Path) -> tuple[int, list[str]]:
    """Give each finished row in out the key of the cell of its labels and seed, if all that it records is the cell's.

    What a row of an earlier version does not record, such as the test images or the dataset's normalisation, is taken
    to be the same; a digest of everything, its `setting`, is not. Returns: how many rows got another key, and a
    sentence on each row that is of no cell. Raises: GiftError if a file cannot be read or written, or if another
    process writes to it.
    """
    with contextlib.ExitStack() as stack:
        paths = sorted(out.glob("results*.jsonl"))
        for path in paths:  # a row that a study adds meanwhile would be lost
            stack.enter_context(locked(path, "another process runs this part of a study, or gives it new keys"))
        return _rekey(cells, paths)


def _rekey(cells: Sequence[Cell], paths: Sequence[Path]) -> tuple[int, list[str]]:
    wanted = {_name(cell.labels, cell.seed): cell for cell in cells}
    files = {path: read_results(path) for path in paths}
    given = {row["cell"] for rows in files.values() for row in rows if "cell" in row}
    count, others = 0, []
    for path, rows in files.items():
        before = count
        for row in (row for row in rows if {"cell", "labels"} <= row.keys() and "failed" not in row):
            name, cell = name_of(row["labels"], row["seed"]), wanted.get(_name(row["labels"], row["seed"]))
            if cell is None:
                others.append(f"{name}: no cell has these labels and this seed")
                continue
            if row["cell"] == (key := fingerprint(cell.identity())):
                continue
            record = cell.record
            if differing := _differing(row, record) or (["another result has its key"] if key in given else []):
                others.append(f"{name}: {'; '.join(differing)}")
                continue
            # Its normalisation was not recorded if it was the dataset's.
            row["cell"], row["recipe"], count = key, record["recipe"], count + 1
            given.add(key)
        if count > before:
            for grid in path.parent.glob(GRIDS):  # of the old keys; a part that is run again writes the new ones
                grid.unlink()
            write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return count, others


def _name(labels: Mapping[str, str], seed: int) -> str:
    return json.dumps([dict(labels), seed], sort_keys=True)


def _differing(row: Row, wanted: Mapping[str, Any]) -> list[str]:
    if "setting" in row:
        return ["it is of another setting"]
    record = json.loads(json.dumps(wanted))
    found = {name: row.get(name) for name in record} | {"digests": row.get("digests", record["digests"])}
    if row["recipe"].get("normalisation") is None:
        record["recipe"]["normalisation"] = None
    return differences(found, record)
