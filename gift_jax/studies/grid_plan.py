"""What a grid is going to run, and about how long that takes: for `--dry-run`."""

import time
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from gift_jax.studies.grid import Row, Shard, Work, known_rows, name_of, take_shard
from gift_jax.training.configuration import fingerprint

MEASURED_EPOCHS = 3


class Plan(NamedTuple):
    """Lines of (cell, state), cells still to be run, their epochs, seconds these take (None: nothing to run), and
    where that estimate comes from."""

    lines: list[tuple[str, str]]
    pending: int
    epochs: int
    seconds: float | None
    source: str


def make_plan(cells: Sequence[Work], out: Path, shard: Shard | None = None, *, jobs: int = 1) -> Plan:
    """List the cells of a part with their state, and estimate the time of those to be run, so many at once.

    The estimate is from the results that are there, which are taken to have run as many at once; without any, or where
    cells differ in their workload, a few epochs of the first cell of each are measured alone, and cells take turns.
    """
    rows = {row["cell"]: row for row in known_rows(out)}
    part = [(fingerprint(cell.configuration()), cell) for cell in take_shard(cells, shard or Shard())]
    lines = [
        (name_of(cell.labels, cell.configuration().get("seed")), _state(rows.get(identity))) for identity, cell in part
    ]
    pending = {identity: cell for identity, cell in part if identity not in rows}
    epochs = sum(cell.epochs for cell in pending.values())
    if not pending:
        return Plan(lines, 0, 0, None, "nothing to run")
    loads: dict[Hashable, list[Work]] = {}
    for cell in pending.values():
        loads.setdefault(cell.workload, []).append(cell)
    if len(loads) == 1 and (earlier := [row for row in rows.values() if "seconds" in row]):
        rate = sum(row["seconds"] for row in earlier) / sum(row["epochs"] for row in earlier)
        return Plan(lines, len(pending), epochs, rate * epochs / jobs, f"estimated from {len(earlier)} earlier results")
    measured = [(measure(own[0]), own) for own in loads.values()]
    programs = [len({cell.program for cell in own}) for own in loads.values()]
    seconds = sum(
        count * taken.compiling + sum(cell.looks * taken.look + cell.epochs * taken.epoch for cell in own)
        for (taken, own), count in zip(measured, programs, strict=True)
    )
    first = measured[0][0]
    each = "an epoch" if len(loads) == 1 else f"an epoch of the first of {len(loads)} workloads"
    figures = f"{first.compiling:.1f} s to compile, of {sum(programs)} programs, {first.epoch * 1e3:.1f} ms {each}"
    return Plan(lines, len(pending), epochs, seconds, f"measured: {figures}")


def _state(row: Row | None) -> str:
    return "to run" if row is None else row.get("failed", "finished")


class Taken(NamedTuple):
    """Seconds of a cell: to compile it, of a look at its test images with all that is not training, and of an epoch."""

    compiling: float
    look: float
    epoch: float


def measure(cell: Work) -> Taken:
    """Run an epoch of it, again without compilation, and then a few."""
    cold, warm, more = (_seconds(cell.shortened(epochs)) for epochs in (1, 1, 1 + MEASURED_EPOCHS))
    epoch = max(more - warm, 0.0) / MEASURED_EPOCHS
    return Taken(max(cold - warm, 0.0), max(warm - epoch, 0.0), epoch)


def _seconds(cell: Work) -> float:
    start = time.perf_counter()
    cell.run(lambda epochs, loss: None)
    return time.perf_counter() - start
