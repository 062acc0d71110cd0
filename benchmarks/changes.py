"""What each change that is kept for speed on the CPU brings: our side with it and without it, in turns.

Command: `python -m benchmarks.changes`; writes benchmarks/results/changes-DEVICE.json and prints the table.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from benchmarks import ours
from benchmarks.compare import RANGE, file_name, measure, ratio, record
from benchmarks.workloads import Workload
from gift_jax.models import convolution, fused, pooling
from gift_jax.reports.page import Table
from gift_jax.runtime import cli, compiling
from gift_jax.runtime.options import Choices
from gift_jax.runtime.sharding import jit_over
from gift_jax.training import epochs
from gift_jax.training.step import make_step


class Change(NamedTuple):
    """A change: what it is measured on, what was expected, and the module, name and value that take it back there."""

    workloads: tuple[str, ...]
    expected: str
    undone: tuple[Any, str, Any] | None = None

    def undo(self) -> None:
        """Take it back in this process; without huge pages the process starts."""
        if self.undone:
            setattr(*self.undone)


CHANGES: Mapping[str, Change] = {
    "kernels": Change(
        ("conv3-32", "resnet18_modified-32"),
        "2 to 4 times: convolutions alone were that much slower with YNNPACK",
        (compiling, "OPTIONS", {}),
    ),
    "loop": Change(
        ("conv3-32",),
        "14 to 21 times (docs/porting.md's first measurements)",
        (ours, "make_epoch", functools.partial(epochs.make_epoch, driver="scan")),
    ),
    "few-channels": Change(
        ("conv3-grey-28", "conv3-32"),
        "1.8 times for grey images, 1.1 for three channels",
        (convolution, "platform", lambda: "other"),
    ),
    "blocks": Change(
        ("conv3-32", "conv4-64"),
        "1.1 to 1.3 times",
        (fused, "_OWN_NORMALISE_RELU_POOL", fused._normalise_relu_pool),
    ),
    "norms": Change(("resnet18_modified-32",), "1.1 times", (fused, "_OWN_NORMALISE", fused._normalise)),
    "max-pool": Change(
        ("resnet18-224",),
        "1.1 times: the gradient takes 66 ms of 540",
        (pooling, "_OWN_MAX_POOL", pooling._max_pool),
    ),
    "huge-pages": Change(("conv3-grey-28", "conv3-32", "resnet18_modified-32"), "1.1 to 1.3 times"),
    "parts": Change(
        ("conv3-32", "resnet18_modified-32"),
        "no slower by more than 1 %; it is for compilations that runs share",
        (epochs, "_make_jitted_step", lambda program, seeds: jit_over(make_step(program), seeds)),
    ),
}

ChangeName = Annotated[str, Choices("benchmarks.changes:CHANGES")]


def without(workload: Workload, name: str) -> ours.Ours:
    """Our side with one change taken back."""
    CHANGES[name].undo()
    return ours.Ours(workload)


def make_table(results: list[dict[str, Any]]) -> str:
    """A Markdown table: a line a change and workload."""
    table = [("change", "workload", "expected", "seconds without over with, median (range), n")]
    for result in results:
        measured = f"{RANGE.format(*result['ratio'])}, {result['n']}"
        table.append((result["change"], result["workload"], result["expected"], measured))
    return Table(table).markdown


def main(changes: tuple[ChangeName, ...] = tuple(CHANGES), rounds: int = 7, name: str | None = None) -> None:
    """Measure, write the results and print the table.

    Args:
        changes: which.
        rounds: runs with and without each, in turns.
        name: of the file; by default `changes-` and the device.
    """
    results = []
    for change in changes:
        for workload in CHANGES[change].workloads:
            rows = measure(workload, ("ours", f"without-{change}"), rounds)
            about = {"change": change, "workload": workload, "expected": CHANGES[change].expected, "n": rounds}
            results.append({**about, "ratio": ratio(rows, "ours", f"without-{change}"), "rows": rows})
            print(make_table(results[-1:]).splitlines()[-1], flush=True)
    record(name or f"changes-{file_name(rows[0]['device'])}", results=results)
    print(make_table(results))


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.changes")
