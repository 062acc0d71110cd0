"""What a grid is going to run, and about how long that takes: for `--dry-run`."""

import time
from collections.abc import Sequence
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

    The estimate is from the results that are there, which are taken to have run as many at once; without any, a few
    epochs of the first cell are measured alone, and cells take their turns.
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
    if earlier := [row for row in rows.values() if "seconds" in row]:
        rate = sum(row["seconds"] for row in earlier) / sum(row["epochs"] for row in earlier)
        return Plan(lines, len(pending), epochs, rate * epochs / jobs, f"estimated from {len(earlier)} earlier results")
    first, rest = measure(next(iter(pending.values())))
    programs = len({cell.program for cell in pending.values()})
    source = f"measured: {first:.1f} s to compile, of {programs} programs, {rest * 1e3:.1f} ms an epoch"
    return Plan(lines, len(pending), epochs, programs * first + epochs * rest, source)


def _state(row: Row | None) -> str:
    return "to run" if row is None else row.get("failed", "finished")


def measure(cell: Work) -> tuple[float, float]:
    """Seconds of compilation, training's and testing's, and of an epoch after that, by running a few."""
    times = [time.perf_counter()]
    cell.shortened(MEASURED_EPOCHS).run(lambda epochs, loss: times.append(time.perf_counter()))
    whole, later = time.perf_counter() - times[0], times[-1] - times[1]
    return whole - later, later / max(len(times) - 2, 1)
