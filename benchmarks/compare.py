"""Speed beside PyTorch: our training and two baselines in turns, a process each, as JSON and as a table.

Command: `python -m benchmarks.compare` (`make bench`). Sides: `official`, the official loop as published;
`strongest`, compiled PyTorch with everything on the device; `ours`; `ours-softce`, ours with the loss `softce` of the
same teacher, whose difference from `ours` is GIFT's own cost; and `ours-ce`, of no teacher, whose difference from that
is the teacher's. On accelerators `strongest-bfloat16` and `ours-bfloat16` too: bfloat16
is held against bfloat16, float32 against float32, each with its framework's default precision of products.
"""

import contextlib
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.worker import SIDES
from benchmarks.workloads import SEEDS, WORKLOADS
from gift_jax.errors import GiftError
from gift_jax.runtime import cli
from gift_jax.runtime.files import write_text
from gift_jax.runtime.memory import TUNABLES
from gift_jax.runtime.progress import display

# Sides that run as their authors run them, without huge pages.
PLAIN_PAGES = {"official", "strongest", "strongest-bfloat16", "without-huge-pages"}
FLOAT32, BFLOAT16 = ("official", "strongest", "ours"), ("strongest-bfloat16", "ours-bfloat16")
# What costs, the side with it, and the side without it.
COSTS = (("GIFT's own cost", "ours", "ours-softce"), ("The teacher's cost", "ours-softce", "ours-ce"))
RESULTS = Path(__file__).parent / "results"


class Process:
    """A worker. It starts at once; `wait` until it is warm."""

    def __init__(self, side: str, workload: str) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", side, workload]
        # PyTorch shares the card; XLA would take three quarters of its memory at once.
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if side not in PLAIN_PAGES:
            environment |= TUNABLES  # as our commands start themselves
        self.name = f"{side} of {workload}"
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.description: dict[str, Any] = {}

    def wait(self) -> None:
        """Until it is warm and has described itself. Raises: GiftError if it stopped."""
        self.description = self.description or self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise GiftError(f"benchmark {self.name} stopped; its error is above")
        return json.loads(line)

    def run(self) -> dict[str, Any]:
        """One round. Returns: seconds and peak_bytes."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """End the process and wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def _started(name: str, sides: Sequence[str], at_once: bool) -> Iterator[dict[str, Process]]:
    """Start the sides of a workload, one after another or at once, and stop them at the end; all are warm then."""
    running: dict[str, Process] = {}
    try:
        for side in sides:
            running[side] = Process(side, name)
            if not at_once:
                running[side].wait()
        for process in running.values():
            process.wait()
        yield running
    finally:
        for process in running.values():
            process.stop()


def measure(name: str, sides: Sequence[str], rounds: int, *, at_once: bool = False) -> list[dict[str, Any]]:
    """Run the sides of one workload in turns. Returns: a row a side."""
    with _started(name, sides, at_once) as processes:
        answers: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for number in range(rounds):
            # Every other round backwards, so that no side always follows the same one.
            for side in sides if number % 2 == 0 else sides[::-1]:
                load = os.getloadavg()[0]
                answers[side].append({**processes[side].run(), "load": load})
        return [_row(name, side, processes[side].description, answers[side]) for side in sides]


def _row(name: str, side: str, description: dict[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    workload = WORKLOADS[name]
    size = workload.size(description["platform"])
    seconds = [answer["seconds"] for answer in answers]
    images = size.images * size.epochs * (len(SEEDS) if workload.whole else 1)
    rates = sorted(images / value for value in seconds)
    return {
        "workload": name,
        "side": side,
        **size._asdict(),
        "seconds": seconds,
        "n": len(seconds),
        "images_per_second": statistics.median(rates),
        "images_per_second_range": [rates[0], rates[-1]],
        "load_averages": [round(answer["load"], 1) for answer in answers],
        "peak_megabytes": max(answer["peak_bytes"] for answer in answers) / 1e6,
        **description,
    }


def ratio(rows: list[dict[str, Any]], one: str, other: str) -> tuple[float, float, float]:
    """Median, least and largest of `one`'s speed over `other`'s, round by round."""
    seconds = {row["side"]: row["seconds"] for row in rows}
    ratios = sorted(theirs / mine for mine, theirs in zip(seconds[one], seconds[other], strict=True))
    return statistics.median(ratios), ratios[0], ratios[-1]


def twin(side: str) -> str:
    """Our side in the precision of a side, with which it is compared."""
    return "ours-bfloat16" if side.endswith("-bfloat16") else "ours"


def make_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table: a line a workload and side, held against ours in the same precision."""
    lines = [
        "| workload | side | images/s (range) | ours over it (range) | peak MB | warm-up s | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        group = [other for other in rows if other["workload"] == row["workload"]]
        ours = twin(row["side"])
        times = "{:.2f} ({:.2f} to {:.2f})".format(*ratio(group, ours, row["side"]))
        low, high = row["images_per_second_range"]
        work = f"{row['workload']}, batch {row['batch']}"
        rates = f"{row['images_per_second']:.1f} ({low:.1f} to {high:.1f})"
        last = f"{row['peak_megabytes']:.0f} | {row['warm_up_seconds']:.1f} | {row['n']}"
        lines.append(f"| {work} | {row['side']} | {rates} | {times if row['side'] != ours else '1'} | {last} |")
    return "\n".join(lines)


def make_notes(rows: list[dict[str, Any]]) -> str:
    """Device, versions, and what GIFT's loss and the teacher cost, below the table."""
    versions = {key: value for row in rows for key, value in row["versions"].items()}
    text = ", ".join(f"{key} {value}" for key, value in sorted(versions.items()))
    loads = [load for row in rows for load in row["load_averages"]]
    notes = [
        f"Device: {rows[0]['device']}. Python {platform.python_version()}, {text}.",
        f"Load average while measuring: {min(loads)} to {max(loads)}; above the number of cores others computed too.",
    ]
    for name in dict.fromkeys(row["workload"] for row in rows if row["side"] == COSTS[0][2]):
        group = [row for row in rows if row["workload"] == name]
        for what, one, other in COSTS:
            low, middle, high = (100 * (value - 1) for value in sorted(ratio(group, other, one)))
            loss = other.removeprefix("ours-")
            notes.append(f"{what}, {name}: a step takes {middle:+.1f} % ({low:+.1f} to {high:+.1f} %) over `{loss}`'s.")
    return "\n\n".join(notes)


def usual_sides() -> tuple[str, ...]:
    """Those of float32, and on accelerators those of bfloat16 too."""
    # In a process of its own, since JAX keeps the device that it has looked for.
    asked = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    platform = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    return FLOAT32 if platform == "cpu" else FLOAT32 + BFLOAT16


def main(
    workloads: tuple[str, ...] = tuple(WORKLOADS),
    sides: tuple[str, ...] = (),
    cost_of: tuple[str, ...] = ("conv3-32",),
    rounds: int = 5,
    at_once: bool = False,
    name: str | None = None,
) -> None:
    """Measure, write benchmarks/results/NAME.json and NAME.md and print the table.

    Args:
        workloads: which, of benchmarks/workloads.py.
        sides: which, with ours of the same precision among them; by default those of float32, and on accelerators
            those of bfloat16 too.
        cost_of: workloads for which the costs of GIFT's loss and of the teacher are measured too.
        rounds: runs of every side, in turns.
        at_once: warm the sides of a workload up side by side, on a machine with cores for them; a warm-up takes longer
            then, and all together less.
        name: of the files; by default the device's.
    """
    for value, known in ((workloads, WORKLOADS), (sides, SIDES), (map(twin, sides), sides)):
        for unknown in set(value) - set(known):
            raise GiftError(f"{unknown!r} is not among {', '.join(known)}; see `python -m benchmarks.compare --help`")
    sides = sides or usual_sides()
    rows: list[dict[str, Any]] = []
    with display("compare", len(workloads), "workloads") as advance:
        for workload in workloads:
            extra = tuple(other for _, _, other in COSTS) if workload in cost_of else ()
            rows += measure(workload, sides + extra, rounds, at_once=at_once)
            advance(1, workload)
            _write(rows, name)
    print(_text(rows))


def _text(rows: list[dict[str, Any]]) -> str:
    return f"{make_table(rows)}\n\n{make_notes(rows)}\n"


def _write(rows: list[dict[str, Any]], name: str | None) -> None:
    """After every workload, so that a run that is cut off leaves what it has."""
    stem = name or file_name(rows[0]["device"])
    record(stem, rows=rows)
    write_text(RESULTS / f"{stem}.md", _text(rows))


def file_name(device: str) -> str:
    """A device's name as that of a file."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def record(stem: str, **content: Any) -> None:
    """Write benchmarks/results/STEM.json, with the time."""
    RESULTS.mkdir(exist_ok=True)
    measured = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_text(RESULTS / f"{stem}.json", json.dumps({"measured": measured, **content}, indent=1) + "\n")


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.compare")
