"""Speed beside PyTorch: our training and two baselines in turns, a process each, as JSON and as a table.

Command: `python -m benchmarks.compare` (`make bench`). Sides: `official`, the official loop as published;
`strongest`, compiled PyTorch with everything on the device; `ours`; and `ours-ce`, ours with the loss `ce`,
whose difference from `ours` is GIFT's own cost.
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
from collections.abc import Iterator
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
PLAIN_PAGES = {"official", "strongest", "without-huge-pages"}
RESULTS = Path(__file__).parent / "results"


class Process:
    """A worker; its first answer describes it."""

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
        self.description = self._read()

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
def _processes(sides: tuple[str, ...], workload: str) -> Iterator[dict[str, Process]]:
    running: dict[str, Process] = {}
    try:
        for side in sides:
            running[side] = Process(side, workload)
        yield running
    finally:
        for process in running.values():
            process.stop()


def measure(name: str, sides: tuple[str, ...], rounds: int) -> list[dict[str, Any]]:
    """Run the sides of one workload in turns. Returns: a row a side."""
    with _processes(sides, name) as processes:
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


def make_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table: a line a workload and side."""
    lines = [
        "| workload | side | images/s (range) | ours over it (range) | peak MB | warm-up s | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        group = [other for other in rows if other["workload"] == row["workload"]]
        times = "{:.2f} ({:.2f} to {:.2f})".format(*ratio(group, "ours", row["side"]))
        low, high = row["images_per_second_range"]
        work = f"{row['workload']}, batch {row['batch']}"
        rates = f"{row['images_per_second']:.1f} ({low:.1f} to {high:.1f})"
        last = f"{row['peak_megabytes']:.0f} | {row['warm_up_seconds']:.1f} | {row['n']}"
        lines.append(f"| {work} | {row['side']} | {rates} | {times if row['side'] != 'ours' else '1'} | {last} |")
    return "\n".join(lines)


def make_notes(rows: list[dict[str, Any]]) -> str:
    """Device, versions and GIFT's own cost, below the table."""
    versions = {key: value for row in rows for key, value in row["versions"].items()}
    text = ", ".join(f"{key} {value}" for key, value in sorted(versions.items()))
    loads = [load for row in rows for load in row["load_averages"]]
    notes = [
        f"Device: {rows[0]['device']}. Python {platform.python_version()}, {text}.",
        f"Load average while measuring: {min(loads)} to {max(loads)}; above the number of cores others computed too.",
    ]
    for name in dict.fromkeys(row["workload"] for row in rows if row["side"] == "ours-ce"):
        group = [row for row in rows if row["workload"] == name]
        low, middle, high = (100 * (value - 1) for value in sorted(ratio(group, "ours-ce", "ours")))
        notes.append(
            f"GIFT's own cost, {name}: a step takes {middle:+.1f} % ({low:+.1f} to {high:+.1f} %) over `ce`'s."
        )
    return "\n\n".join(notes)


def main(
    workloads: tuple[str, ...] = tuple(WORKLOADS),
    sides: tuple[str, ...] = ("official", "strongest", "ours"),
    cost_of: tuple[str, ...] = ("conv3-32",),
    rounds: int = 5,
    name: str | None = None,
) -> None:
    """Measure, write benchmarks/results/NAME.json and NAME.md and print the table.

    Args:
        workloads: which, of benchmarks/workloads.py.
        sides: which, `ours` among them.
        cost_of: workloads for which GIFT's own cost is measured too.
        rounds: runs of every side, in turns.
        name: of the files; by default the device's.
    """
    for value, known in ((workloads, WORKLOADS), (sides, SIDES), (("ours",), sides)):
        for unknown in set(value) - set(known):
            raise GiftError(f"{unknown!r} is not among {', '.join(known)}; see `python -m benchmarks.compare --help`")
    rows: list[dict[str, Any]] = []
    with display("compare", len(workloads), "workloads") as advance:
        for workload in workloads:
            extra = ("ours-ce",) if workload in cost_of else ()
            rows += measure(workload, sides + extra, rounds)
            advance(1, workload)
            content = {"measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "rows": rows}
            stem = name or re.sub(r"[^a-z0-9]+", "-", rows[0]["device"].lower()).strip("-")
            text = f"{make_table(rows)}\n\n{make_notes(rows)}\n"
            # After every workload, so that a run that is cut off leaves what it has.
            RESULTS.mkdir(exist_ok=True)
            write_text(RESULTS / f"{stem}.json", json.dumps(content, indent=1) + "\n")
            write_text(RESULTS / f"{stem}.md", text)
    print(text)


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.compare")
