"""Where the time of a ConvNet's step goes: its parts alone, with this project's changes for the CPU or without them.

Command: `python -m benchmarks.parts`; writes benchmarks/results/parts-DEVICE.json. XLA runs convolutions beside other
work, so that a trace does not show what they take: each part is compiled and timed alone. Convolutions have a command
of their own, `benchmarks.convolutions`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.changes import take_back
from benchmarks.compare import WorkloadName, file_name, record
from benchmarks.ours import Ours
from benchmarks.worker import find_processor, median_milliseconds
from benchmarks.workloads import WORKLOADS
from gift_jax.losses import LOSSES
from gift_jax.reports.page import Table
from gift_jax.runtime import cli
from gift_jax.runtime.compiling import jit
from gift_jax.runtime.memory import start_with_huge_pages
from gift_jax.training.batch import make_prepare
from gift_jax.training.step import make_differentiate, make_update

UNDONE = ("few-channels", "winograd", "blocks", "norms")  # and huge pages, which are the process's
ROUNDS, CALLS = 15, 200


def _median(function: Callable[[], Any]) -> float:
    """Milliseconds of a call."""
    return median_milliseconds(lambda: jax.block_until_ready(function()), ROUNDS)


def measure(name: str) -> dict[str, float]:
    """Milliseconds of each part of a workload's step, in this process."""
    side = Ours(WORKLOADS[name])
    program = side.task.program
    prepare, differentiate, update = (jit(make(program)) for make in (make_prepare, make_differentiate, make_update))
    state, rows, key = side.state, jnp.arange(program.batch_size), side.key
    batch, dropout_key = prepare(side.data, rows, key, state.step)
    weights = (state.params, state.batch_stats)
    inputs = (*weights, side.data.teacher_params, batch, dropout_key)
    gradients = differentiate(*inputs)[0]
    student, teacher = program.model, program.teacher
    forward = jit(lambda params, stats, x: student.apply(params, stats, x, train=True))
    backward = jit(jax.grad(lambda params, stats, x: student.apply(params, stats, x, train=True)[0].sum()))
    asked = jit(lambda params, x: teacher.apply(params, {}, x)[0])
    logits, soft = forward(*weights, batch.images)[0], asked(side.data.teacher_params, batch.images)
    outputs = (logits, soft, side.data.labels[rows])
    return {
        "augmentation": _median(lambda: prepare(side.data, rows, key, state.step)),
        "teacher": _median(lambda: asked(side.data.teacher_params, batch.images)),
        "student, forward": _median(lambda: forward(*weights, batch.images)),
        "student, forward and backward": _median(lambda: backward(*weights, batch.images)),
        "teacher, student and loss": _median(lambda: differentiate(*inputs)),
        "update": _median(lambda: update(state.params, state.opt_state, gradients, state.step)),
        **{f"loss {title}, alone": _loss(loss, *outputs) for title, loss in LOSSES.items()},
    }


def _loss(loss: Callable[..., jax.Array], student: jax.Array, teacher: jax.Array, labels: jax.Array) -> float:
    """Of a loss and its gradient, which take microseconds: of `CALLS` at once."""
    function = jit(jax.value_and_grad(lambda logits: loss(logits, teacher, labels).mean()))
    return _median(lambda: [function(student) for _ in range(CALLS)][-1]) / CALLS


def make_table(parts: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table: a line per part, milliseconds for every workload."""
    table = [("part", *parts)]
    for name in next(iter(parts.values())):
        table.append((name, *(f"{part[name]:.3g}" for part in parts.values())))
    return Table(table).markdown


def main(workloads: tuple[WorkloadName, ...] = ("conv3-grey-28", "conv3-32"), undo: bool = False) -> None:
    """Measure each workload, write the results and print the table.

    Args:
        workloads: which, ConvNets of benchmarks/workloads.py.
        undo: without this project's changes for the CPU.
    """
    if undo:
        for change in UNDONE:
            take_back(change)
    else:
        start_with_huge_pages("benchmarks.parts")
    parts = {name: measure(name) for name in workloads}
    record(f"parts-{file_name(find_processor())}{'-undone' if undo else ''}", rounds=ROUNDS, milliseconds=parts)
    print(make_table(parts))


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.parts")
