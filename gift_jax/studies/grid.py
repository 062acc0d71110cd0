"""Grids of runs: many cells in one process, each result on disk as it comes, and nothing run twice.

Cells of one compilation should follow one another: compiled functions are shared through the caches of
`gift_jax.training.epochs`.
"""

import bisect
import contextlib
import functools
import json
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gift_jax.errors import Diverged, GiftError, Preempted
from gift_jax.runtime import progress
from gift_jax.runtime.files import append_json_line, locked, read_json_object, write_text
from gift_jax.runtime.interrupts import Terminated, raise_on_termination
from gift_jax.runtime.threads import in_order
from gift_jax.studies.cells import Cell
from gift_jax.studies.results import check_place, end_last_line, read_results
from gift_jax.training.identity import fingerprint

Row = dict[str, Any]
Watch = Callable[[str, float, int], None]
"""Told of `(curve, value, epoch)`: a figure to watch while the cell runs."""
Log = Callable[[str], contextlib.AbstractContextManager[Watch]]
"""Where the figures of a named cell go while it runs."""

# What may differ between two runs of one cell without a contradiction.
CIRCUMSTANCES = {"labels", "train_seconds", "images_per_second", "seconds", "versions", "device", "teacher_top1",
                 "digests", "setting"}  # fmt: skip


class Shard(NamedTuple):
    """Part `number` (from 1) of so many equal parts of a grid, each for one machine or job."""

    number: int = 1
    parts: int = 1

    @property
    def file_name(self) -> str:
        """Of its results: each part has a file, since network file systems do not append for several machines."""
        return "results.jsonl" if self.parts == 1 else f"results-{self.number}-of-{self.parts}.jsonl"


def parse_shard(text: str) -> Shard:
    """Read `i/n`. Raises: GiftError unless 1 <= i <= n."""
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise GiftError(f"`shard` {text!r} must be i/n with i from 1 to n, such as 2/8")
    return Shard(int(number), int(parts))


def take_shard(cells: Iterable[Cell], shard: Shard) -> list[tuple[str, Cell]]:
    """The cells of a part with their identities' fingerprints, each of which is made once, in their order."""
    return split_grid(cells, shard.parts)[shard.number - 1]


def split_grid(cells: Iterable[Cell], parts: int) -> list[list[tuple[str, Cell]]]:
    """All parts, as `take_shard` gives one.

    A part has neighbouring settings, which share compiled functions, with all of their seeds.
    """
    named = []
    for cell in cells:
        identity = cell.identity()
        named.append((fingerprint({**identity, "seed": None}), fingerprint(identity), cell))
    settings = [*dict.fromkeys(setting for setting, _, _ in named)]
    ends = [len(settings) * number // parts for number in range(1, parts + 1)]
    part_of = {setting: bisect.bisect(ends, place) for place, setting in enumerate(settings)}
    split: list[list[tuple[str, Cell]]] = [[] for _ in ends]
    for setting, identity, cell in named:
        split[part_of[setting]].append((identity, cell))
    return split


GRIDS = "grid-*.json"
"""Beside the files of parts: what each part has to run, as names of cells by `row_key` by the part's file."""


def read_grid(path: Path) -> dict[str, dict[str, str]]:
    """Read a file of `GRIDS`. Raises: GiftError."""
    grid = read_json_object(path)
    if not all(isinstance(names, dict) for names in grid.values()):
        raise GiftError(f"{path}: does not list the cells of a study's parts; remove it, and run a part again")
    return grid


def read_rows(runs: Iterable[Path]) -> list[Row]:
    """All rows of results files, or of directories of them (`results*.jsonl`). Raises: GiftError if there is none."""
    rows = []
    for run in runs:
        paths = sorted(run.glob("results*.jsonl")) if run.is_dir() else [run]
        if not paths:
            raise GiftError(f"{run}: holds no results*.jsonl; give a directory that an experiment wrote")
        rows += [row for path in paths for row in read_results(path)]
    return rows


def merge(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """One row a cell: a finished one rather than a failed one, else the first. Cells without identity are all kept.

    Returns: rows, and sentences about those that contradict one another.
    """
    kept: dict[str, Row] = {}
    contradictions = []
    for row in rows:
        labels = row.get("labels", {})  # which rows of experiments.evaluate lack, as they lack an experiment
        key = (
            row_key(row.get("experiment", ""), row["cell"], labels)
            if "cell" in row
            else json.dumps(row, sort_keys=True)
        )
        known = kept.setdefault(key, row)
        if "failed" in known:
            kept[key] = row
        elif "failed" not in row:
            names = (known.keys() | row.keys()) - CIRCUMSTANCES
            if differing := sorted(name for name in names if known.get(name) != row.get(name)):
                where = f"{known.get('device')} and {row.get('device')}"
                contradictions.append(f"{name_of(labels, row['seed'])}: {', '.join(differing)} differ ({where})")
    return [*kept.values()], contradictions


def row_key(experiment: str, cell: str, labels: Mapping[str, str]) -> str:
    """What tells the rows of several studies apart: one cell may stand in each, and under several labels."""
    return json.dumps([experiment, cell, dict(labels)], sort_keys=True)


def name_of(labels: Mapping[str, str], seed: Any = None) -> str:
    """A cell in words: `gift, sgd, seed 0`."""
    return ", ".join([*map(str, labels.values()), *([] if seed is None else [f"seed {seed}"])])


def run_grid(
    cells: Sequence[Cell],
    out: Path,
    *,
    experiment: str,
    shard: Shard | None = None,
    retry_failed: bool = False,
    jobs: int = 1,
    log: Log | None = None,
) -> list[Row]:
    """Run the cells of a part that are not finished; append each result to the part's file in out.

    A failing cell becomes a row with `failed` (`diverged` or `error`) and `reason`; the rest go on. Of cells with one
    identity and several labels, one is run.

    Args:
        cells: all of the study.
        out: directory of the results.
        experiment: the study's name in the rows.
        shard: the part; by default the whole.
        retry_failed: run cells that failed again.
        jobs: how many cells run at once, in threads.
        log: where losses and accuracies go as they come.

    Returns:
        A row a cell of the part, in order.

    Raises:
        GiftError: if results in out cannot be read or written, or if another process runs the same part.
    """
    shard = shard or Shard()
    path = out / shard.file_name
    end_last_line(path)
    split = split_grid(cells, shard.parts)
    part = split[shard.number - 1]
    for key, count in Counter(row_key(experiment, identity, cell.labels) for identity, cell in part).items():
        if count > 1:
            raise GiftError(f"{key}: is there {count} times; give each cell, and each seed, once")
    known = known_rows(out, retry_failed)
    rows = {row["cell"]: row for row in known}
    recorded = {row_key(row["experiment"], row["cell"], row["labels"]) for row in known}
    pending = {identity: cell for identity, cell in part if identity not in rows}
    if pending:
        check_place(path)
    if shard.parts > 1:
        names = [
            {row_key(experiment, key, cell.labels): name_of(cell.labels, cell.seed) for key, cell in own}
            for own in split
        ]
        grid = {Shard(number, shard.parts).file_name: own for number, own in enumerate(names, 1)}
        write_text(out / GRIDS.replace("*", fingerprint(grid)), json.dumps(grid), keep=lambda *_: True)
    total, answer = sum(cell.epochs for cell in pending.values()), []
    title = f"{experiment}, {len(pending)} of {len(part)} students to train"
    with (
        _termination_as_sentence(lambda: f"{sum(name in rows for name, _ in part)} of {len(part)} students", path),
        locked(path, "another process runs this part of a study"),
        progress.display(title, total, "epochs") as advance,
        _attempts(pending.values(), jobs, advance, log) as rows_of,
    ):
        for identity, cell in part:
            if identity not in rows:
                rows[identity] = next(rows_of)
            heading = {"experiment": experiment, "cell": identity, "labels": dict(cell.labels)}
            row = {**rows[identity], **heading}
            if (key := row_key(**heading)) not in recorded:
                append_json_line(path, {**heading, **row})
                recorded.add(key)
            answer.append(row)
    return answer


def known_rows(out: Path, retry_failed: bool = False) -> list[Row]:
    """Rows, in a directory, of cells that are not to be run again."""
    found = read_rows([out]) if any(out.glob("results*.jsonl")) else []
    rows, _ = merge(row for row in found if {"cell", "experiment"} <= row.keys())  # and not those of evaluations
    return [row for row in rows if not (retry_failed and "failed" in row)]


@contextlib.contextmanager
def _termination_as_sentence(finished: Callable[[], str], path: Path) -> Iterator[None]:
    """Raises: Preempted after a SIGTERM, with what is kept."""
    try:
        with raise_on_termination():
            yield
    except Terminated:
        kept = f"{finished()} are finished, and kept in {path}"
        raise Preempted(f"stopped; {kept}; run the same command again to go on") from None


_ADVANCING = threading.Lock()  # of cells in threads, one at a time tells how far it is


def _attempts(cells: Iterable[Cell], jobs: int, advance: progress.Advance, log: Log | None) -> Any:
    """Rows of cells in their order, so many of which run at once. To be closed."""
    return contextlib.closing(in_order(functools.partial(_attempt, advance=advance, log=log), cells, jobs))


def _attempt(cell: Cell, stop: threading.Event, advance: progress.Advance, log: Log | None) -> Row:
    """Run a cell, or describe why it failed. Raises: KeyboardInterrupt at its next epoch if it is to stop."""
    name, done = name_of(cell.labels, cell.seed), 0
    with log(name) if log else contextlib.nullcontext(lambda *figures: None) as watch:

        def on_epoch(epochs: int, loss: float) -> None:
            nonlocal done
            if stop.is_set():
                raise KeyboardInterrupt
            done += epochs
            with _ADVANCING:
                advance(epochs, f"{name}, loss {loss:.3g}")
            watch("loss", loss, done)

        try:
            row = cell.run(on_epoch)
        except Exception as error:
            with _ADVANCING:
                advance(cell.epochs - done, f"{name}: failed")
            kind, reason = ("diverged" if isinstance(error, Diverged) else "error"), _reason(error)
            print(f"{name}: {kind}: {reason}", file=sys.stderr)
            known = {"record": cell.record, "configuration": cell.identity()}
            return {"failed": kind, "reason": reason, "seed": cell.seed, **known}
        for evaluation in row.get("history", ()):
            watch("top1", evaluation["top1"], evaluation["epoch"])
        return row


def _reason(error: Exception) -> str:
    """A user's mistake in its sentence; anything else with its type and place."""
    if isinstance(error, GiftError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
