"""Speed beside PyTorch: our training and two baselines in turns, a process each, as JSON and as a table.

Command: `python -m benchmarks.compare` (`make bench`). Sides: `official`, the official loop as published; `strongest`,
compiled PyTorch with everything on the device; `ours`; on accelerators `strongest-bfloat16` and `ours-bfloat16` too.
float32 is with each framework's default precision of products. Beside `ours`, `ours-softce` (the loss `softce` of the
same teacher) and `ours-ce` (of none) show what GIFT and its teacher cost, `without-NAME` what a change brings.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from benchmarks.workloads import SEEDS, WORKLOADS
from gift_jax.errors import GiftError
from gift_jax.reports.page import Table
from gift_jax.runtime import cli
from gift_jax.runtime.files import write_text
from gift_jax.runtime.memory import TUNABLES
from gift_jax.runtime.options import Choices
from gift_jax.runtime.progress import display

# Sides that run as their authors run them, without huge pages.
PLAIN_PAGES = {"official", "strongest", "strongest-bfloat16", "without-huge-pages"}
FLOAT32, BFLOAT16 = ("official", "strongest", "ours"), ("strongest-bfloat16", "ours-bfloat16")
RESULTS = Path(__file__).parent / "results"
WorkloadName = Annotated[str, Choices("benchmarks.workloads:WORKLOADS")]
SideName = Annotated[str, Choices("benchmarks.worker:SIDES")]


def start(side: str, workload: str) -> subprocess.Popen[str]:
    """A process of its own for a side, which warms up, says how it runs, and then waits for rounds."""
    # PyTorch shares the card; XLA would take three quarters of its memory at once.
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if side not in PLAIN_PAGES:
        environment |= TUNABLES  # as our commands start themselves
    command = [sys.executable, "-m", "benchmarks.worker", side, workload]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a process says next. Raises: GiftError if it stopped."""
    if line := process.stdout.readline():
        return json.loads(line)
    side, workload = process.args[-2:]
    raise GiftError(f"benchmark {side} of {workload} stopped; its error is above")


def measure(name: str, sides: Sequence[str], rounds: int, *, at_once: bool = False) -> list[dict[str, Any]]:
    """Run the sides of one workload in turns, warmed up one after another or at once. Returns: a row a side."""
    running, described, answers = {}, {}, {side: [] for side in sides}
    with contextlib.ExitStack() as ended:
        starting = ((side, ended.enter_context(start(side, name))) for side in sides)
        for side, process in [*starting] if at_once else starting:
            running[side], described[side] = process, answer(process)
        for number in range(rounds):
            # Every other round backwards, so that no side always follows the same one.
            for side in sides if number % 2 == 0 else sides[::-1]:
                load = os.getloadavg()[0]
                print(file=running[side].stdin, flush=True)
                answers[side].append({**answer(running[side]), "load": load})
    return [_row(name, side, described[side], answers[side]) for side in sides]


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
    table = [("workload", "side", "images/s (range)", "ours over it (range)", "peak MB", "warm-up s", "n")]
    for row in rows:
        group = [other for other in rows if other["workload"] == row["workload"]]
        side, ours = row["side"], twin(row["side"])
        low, high = row["images_per_second_range"]
        rates = f"{row['images_per_second']:.1f} ({low:.1f} to {high:.1f})"
        times = "1" if side == ours else "{:.2f} ({:.2f} to {:.2f})".format(*ratio(group, ours, side))
        figures = (f"{row['peak_megabytes']:.0f}", f"{row['warm_up_seconds']:.1f}", str(row["n"]))
        table.append((f"{row['workload']}, batch {row['batch']}", side, rates, times, *figures))
    return Table(table).markdown


def make_notes(rows: list[dict[str, Any]]) -> str:
    """Device, versions and load, below the table."""
    versions = {key: value for row in rows for key, value in row["versions"].items()}
    text = ", ".join(f"{key} {value}" for key, value in sorted(versions.items()))
    loads = [load for row in rows for load in row["load_averages"]]
    return (
        f"Device: {rows[0]['device']}. Python {platform.python_version()}, {text}.\n\nLoad average while measuring: "
        f"{min(loads)} to {max(loads)}; above the number of cores others computed too."
    )


def usual_sides() -> tuple[str, ...]:
    """Those of float32, and on accelerators those of bfloat16 too."""
    # In a process of its own, since JAX keeps the device that it has looked for.
    asked = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    platform = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    return FLOAT32 if platform == "cpu" else FLOAT32 + BFLOAT16


def main(
    workloads: tuple[WorkloadName, ...] = tuple(WORKLOADS),
    sides: tuple[SideName, ...] = (),
    rounds: int = 5,
    at_once: bool = False,
    name: str | None = None,
) -> None:
    """Measure, write benchmarks/results/NAME.json and NAME.md and print the table.

    Args:
        workloads: which, of benchmarks/workloads.py.
        sides: which, with ours of the same precision among them; by default those of float32, and on accelerators
            those of bfloat16 too.
        rounds: runs of every side, in turns.
        at_once: warm the sides of a workload up side by side, on a machine with cores for them; a warm-up takes longer
            then, and all together less.
        name: of the files; by default the device's.
    """
    if missing := set(map(twin, sides)) - set(sides):
        raise GiftError(
            f"--sides: {min(missing)!r} is not among them; it is what others of its precision are held against"
        )
    sides = sides or usual_sides()
    rows: list[dict[str, Any]] = []
    with display("compare", len(workloads), "workloads") as advance:
        for workload in workloads:
            rows += measure(workload, sides, rounds, at_once=at_once)
            advance(1, workload)
            # After every workload, so that a run that is cut off leaves what it has.
            stem, text = name or file_name(rows[0]["device"]), f"{make_table(rows)}\n\n{make_notes(rows)}\n"
            record(stem, rows=rows)
            write_text(RESULTS / f"{stem}.md", text)
    print(text)


def file_name(device: str) -> str:
    """A device's name as that of a file."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def record(stem: str, **content: Any) -> None:
    """Write benchmarks/results/STEM.json, with the time."""
    measured = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_text(RESULTS / f"{stem}.json", json.dumps({"measured": measured, **content}, indent=1) + "\n")


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.compare")
