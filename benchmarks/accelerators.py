"""What users' programs become on accelerators that need not be there: compiled, described, never run.

Command: `python -m benchmarks.accelerators --for v5e v6e h100`, with the extra `accelerators`; it needs no device, and
writes benchmarks/results/NAME.json and NAME.md. Programs are the `KINDS` of benchmarks/workloads.py, each compiled in a
process of its own. docs/accelerators.md says what the figures are.
"""

import datetime
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from benchmarks.compare import RESULTS
from benchmarks.targets import TARGETS, environment, installed
from benchmarks.workloads import KINDS, WORKLOADS
from gift_jax.errors import GiftError, short_reason
from gift_jax.reports.page import Table
from gift_jax.runtime import cli
from gift_jax.runtime.files import write_text
from gift_jax.runtime.options import Choices
from gift_jax.runtime.progress import display

STEPS = tuple(name for name, workload in WORKLOADS.items() if not workload.whole)
TargetName = Annotated[str, Choices("benchmarks.targets:TARGETS")]
StepName = Annotated[str, Choices("benchmarks.accelerators:STEPS")]
KindName = Annotated[str, Choices("benchmarks.workloads:KINDS")]


def compile_apart(target: str, workload: str, program: str) -> dict[str, Any]:
    """Compile one program in a process of its own. Returns: its row. Raises: GiftError if the compiler fails."""
    command = [sys.executable, "-m", "benchmarks.compiled", target, workload, program]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment(target), check=False)
    if answer.returncode:
        reason = short_reason(RuntimeError(answer.stderr.strip().splitlines()[-1] if answer.stderr else "no message"))
        raise GiftError(f"{program} of {workload} cannot be compiled for {target} ({reason}); leave it out by --work")
    return json.loads(answer.stdout.splitlines()[-1])


def make_table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: a line a program."""
    table = []
    for row in rows:
        exchanged = sum(collective["bytes"] for collective in row["collectives"]) / 1e6
        estimate = row["estimated_seconds"]
        table.append(
            {
                "device": row["target"],
                "workload, batch": f"{row['workload']}, {row['batch']}",
                "program": row["program"],
                "compiled in": f"{row['compile_seconds']:.0f} s",
                "GFLOP": f"{row['flops'] / 1e9:,.1f}",
                "GB": f"{row['bytes'] / 1e9:.2f}",
                "bound": f"{1e3 * row['bound_seconds']:.2f} ms",
                "estimate": "-" if estimate is None else f"{1e3 * estimate:.2f} ms",
                "memory": f"{row['peak_bytes'] / 2**20:,.0f} MiB, {100 * row['memory_share']:.1f} %",
                "exchanged": f"{exchanged:.1f} MB" if row["collectives"] else "-",
            }
        )
    return Table([[*table[0]], *([*cells.values()] for cells in table)]).markdown


def make_costliest(rows: Sequence[dict[str, Any]]) -> str:
    """The costliest operations of each program, with their share of the step."""
    parts = []
    for row in rows:
        lines = [
            f"{100 * one['share']:5.1f} %  {one['makes']:<28}{one['operation']}  "
            f"({one['flops'] / 1e9:.1f} GFLOP, {one['bytes'] / 1e6:.0f} MB)"
            for one in row["costliest"]
        ]
        parts.append("\n".join([f"{row['target']} {row['workload']} {row['program']}", *lines]))
    return "\n\n".join(parts)


def _write(name: str, rows: Sequence[dict[str, Any]]) -> None:
    compiled = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    lines = ",\n".join(map(json.dumps, rows))  # a line a program
    write_text(RESULTS / f"{name}.json", f'{{"compiled": "{compiled}", "rows": [\n{lines}\n]}}\n')
    write_text(RESULTS / f"{name}.md", f"{make_table(rows)}\n\n```\n{make_costliest(rows)}\n```\n")


def main(
    for_: tuple[TargetName, ...] = tuple(TARGETS),
    work: tuple[StepName, ...] = STEPS,
    programs: tuple[KindName, ...] = tuple(KINDS),
    name: str = "accelerators",
) -> None:
    """Compile, write the results and print the table. Raises: GiftError in the end for programs that do not compile.

    Args:
        for_: devices to compile for.
        work: workloads of benchmarks/workloads.py.
        programs: an epoch in each precision, an evaluation, an epoch over 8 devices, and two seeds over 4 devices each.
        name: of the files.
    """
    for missing in (target for target in for_ if not installed(target)):
        raise GiftError(f"--for {missing}: its compiler is not installed; `pip install '.[accelerators]'` brings it")
    rows, failures = [], []
    combinations = [*itertools.product(for_, work, programs)]
    with display("accelerators", len(combinations), "programs") as advance:
        for combination in combinations:
            try:
                rows.append(compile_apart(*combination))
                _write(name, rows)  # after every program, so that a run that is cut off leaves what it has
            except GiftError as error:  # a compiler that crashes at one program may do the others
                failures.append(str(error))
            advance(1, " ".join(combination))
    print(make_table(rows))
    if failures:
        raise GiftError("; ".join(failures))


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.accelerators")
