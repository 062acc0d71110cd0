"""What a grid is going to run, and about how long that takes: for `--dry-run`."""

import itertools
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from gift_jax.runtime import progress
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid import Row, Shard, known_rows, name_of, take_shard

MEASURED_EPOCHS, MEASURED_IMAGES = 4, 1000


class Plan(NamedTuple):
    """Lines of (setting, how many of its seeds are in which state), and what is still to be run.

    Cells, those to run, their epochs, seconds these take (None: nothing to run), and where that estimate comes from.
    """

    lines: list[tuple[str, str]]
    total: int
    pending: int
    epochs: int
    seconds: float | None
    source: str


def make_plan(cells: Sequence[Cell], out: Path, shard: Shard | None = None, *, jobs: int = 1) -> Plan:
    """List the settings of a part with their states, and estimate the time of what is to be run.

    From finished cells of the same workload, which are taken to have run as many at once; where there are none, a few
    epochs of the first cell of a workload are measured alone.
    """
    rows = {row["cell"]: row for row in known_rows(out)}
    part = take_shard(cells, shard or Shard())
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for identity, cell in part:
        state = rows[identity].get("failed", "finished") if identity in rows else "to run"
        states[name_of(cell.labels)][state] += 1
    lines = [(name, ", ".join(f"{count} {state}" for state, count in found.items())) for name, found in states.items()]
    finished: dict[Hashable, list[Row]] = defaultdict(list)
    loads: dict[Hashable, list[Cell]] = defaultdict(list)
    for identity, cell in dict(part).items():
        if identity not in rows:
            loads[cell.workload].append(cell)
        elif "seconds" in rows[identity]:
            finished[cell.workload].append(rows[identity])
    pending = [cell for load in loads.values() for cell in load]
    epochs = sum(cell.epochs for cell in pending)
    if not pending:
        return Plan(lines, len(part), 0, 0, None, "nothing to run")
    seconds, sources = 0.0, []
    if earlier := [load for load in loads if load in finished]:
        for load in earlier:
            taken, done = (sum(row[name] for row in finished[load]) for name in ("seconds", "epochs"))
            seconds += taken / done * sum(cell.epochs for cell in loads[load]) / jobs
        sources.append(f"estimated from {sum(len(finished[load]) for load in earlier)} earlier results")
    if new := [own for load, own in loads.items() if load not in finished]:
        taken, source = _measured(new)
        seconds, sources = seconds + taken, [*sources, source]
    return Plan(lines, len(part), len(pending), epochs, seconds, "; ".join(sources))


def _measured(loads: Sequence[Sequence[Cell]]) -> tuple[float, str]:
    """Seconds of cells by workload, the first of each measured, and how that was found."""
    measured = []
    with progress.display("measuring", len(loads), "workloads") as advance:
        for own in loads:
            measured.append((measure(own), own))
            advance(1, name_of(own[0].labels))
    seconds = sum(
        taken.compiling
        + sum(taken.beginning + cell.num_evaluations * taken.evaluation + cell.epochs * taken.epoch for cell in own)
        for taken, own in measured
    )
    first = measured[0][0]
    each = "an epoch" if len(loads) == 1 else f"an epoch of the first of {len(loads)} workloads"
    compiling = sum(taken.compiling for taken, _ in measured)
    return seconds, f"measured: {compiling:.0f} s to compile, {first.epoch * 1e3:.1f} ms {each}"


class Taken(NamedTuple):
    """Seconds of cells: to compile all, and for one of them to begin, of an evaluation and of an epoch."""

    compiling: float
    beginning: float
    evaluation: float
    epoch: float


def measure(cells: Sequence[Cell]) -> Taken:
    """Run a few epochs of the first of cells of one workload, and again without compilation, on some test images.

    Its compilation has all in it that the cells share; that of the others is taken to be as the last one's.
    """
    programs = [*{cell.program: cell.shortened(MEASURED_EPOCHS, MEASURED_IMAGES) for cell in reversed(cells)}.values()]
    *others, first = programs
    cold, warm = _seconds(first), _seconds(first)
    more = sum(_seconds(others[0])) - sum(warm) if others else 0.0
    compiling = max(sum(cold) - sum(warm), 0.0) + len(others) * max(more, 0.0)
    # The first epoch has the run's beginning in it; the evaluation follows the last one.
    first_epoch, *epochs, evaluation = warm
    epoch = statistics.median(epochs or [first_epoch / MEASURED_EPOCHS])
    beginning = max(first_epoch - epoch, 0.0) if epochs else 0.0
    return Taken(compiling, beginning, evaluation * cells[0].num_tested / first.num_tested, epoch)


def _seconds(cell: Cell) -> list[float]:
    """Seconds of each epoch of a run, and of what follows the last one."""
    times = [time.perf_counter()]
    cell.run(lambda epochs, loss: times.append(time.perf_counter()))
    times.append(time.perf_counter())
    return [end - start for start, end in itertools.pairwise(times)]
