"""One of our programs, compiled for a device that need not be there, from shapes alone; printed as JSON.

Command: `python -m benchmarks.compiled TARGET WORKLOAD PROGRAM`, in the environment that `targets.environment` gives.
Programs: an epoch as users run it, a scan over steps with teacher and augmentation in them, and the evaluation of a
batch.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks import hlo
from benchmarks.ours import make_task
from benchmarks.targets import TARGETS, Target, devices
from benchmarks.workloads import COMPILED, KINDS, Kind, Size, Workload
from gift_jax.data.datasets import get_dataset
from gift_jax.evaluate import BATCH_SIZE, largest_batch, make_batch_ranker
from gift_jax.models import ModelSpec, get_model
from gift_jax.runtime.compiling import tracing_for_platform
from gift_jax.runtime.sharding import DATA, SEED, make_mesh
from gift_jax.training.epochs import make_epoch
from gift_jax.training.program import init_state

LARGE = 2**20  # bytes of an array whose layout matters
COSTLIEST = 10


def lower_epoch(workload: Workload, kind: Kind, over: Sequence[Any]) -> tuple[Any, Any]:
    """Our epoch as `train` runs it on these devices. Returns: what is lowered, and the state's shapes."""
    task = make_task(workload, workload.accelerator, precision=kind.precision)
    program, data = task.program, jax.eval_shape(lambda: task.data("device"))
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(lambda key: init_state(program, key, task.learning_rate), key)
    mode, rows = "loop", _everywhere(over)
    copies = rows
    if len(over) > 1:
        mode = make_mesh(kind.seeds, program.batch_size, over)
        state, key = (_stacked(tree, kind.seeds) for tree in (state, key))
        rows, copies = (NamedSharding(mode, PartitionSpec(*axes)) for axes in ((SEED,), ()))
    number = jax.ShapeDtypeStruct((), jnp.int32)
    shapes = (_placed(state, rows), _placed(data, copies), _placed(key, rows), _placed(number, copies))
    return make_epoch(program, seeds=mode).lower(*shapes), state


def lower_evaluation(workload: Workload, over: Sequence[Any]) -> Any:
    """The evaluation of one batch of test images."""
    model = get_model(ModelSpec(workload.model, workload.classes, workload.side, workload.channels))
    sharding, count = _everywhere(over), min(BATCH_SIZE, largest_batch(workload.side))
    images = jax.ShapeDtypeStruct((count, *model.input_shape), jnp.uint8)
    shapes = (*model.abstract(), images, jax.ShapeDtypeStruct((count,), jnp.int32))
    rank = make_batch_ranker(model, "raw", get_dataset(workload.dataset).normalisation, None)
    return rank.lower(*(_placed(tree, sharding) for tree in shapes))


def _everywhere(over: Sequence[Any]) -> NamedSharding:
    return NamedSharding(Mesh(np.array(over[:1]), (DATA,)), PartitionSpec())


def _stacked(tree: Any, seeds: int) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((seeds, *leaf.shape), leaf.dtype), tree)


def _placed(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def compile_for(target_name: str, workload_name: str, kind_name: str) -> dict[str, Any]:
    """Compile a program and say what it does, of one step and one device. Returns: a row of the results."""
    target, kind, workload = TARGETS[target_name], KINDS[kind_name], COMPILED[workload_name]
    if kind.devices > 1:  # batches that all devices share evenly, without a smaller one at the end
        size = workload.accelerator
        even = size.batch - size.batch % kind.devices
        workload = dataclasses.replace(workload, accelerator=Size(even, size.images - size.images % even))
    over = devices(target_name, kind.devices)
    with tracing_for_platform(target.platform):
        batch = min(BATCH_SIZE, largest_batch(workload.side)) if kind.evaluation else workload.accelerator.batch
        if kind.evaluation:
            lowered, state = lower_evaluation(workload, over), None
        else:
            lowered, state = lower_epoch(workload, kind, over)
        start = time.perf_counter()
        compiled = lowered.compile()
        seconds = time.perf_counter() - start
    about = {"target": target_name, "workload": workload_name, "program": kind_name, "compile_seconds": seconds}
    found = describe(compiled, target, kind)
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / kind.seeds
    return {**about, "batch": batch, "devices": kind.devices, "seeds": kind.seeds, "state_bytes": state_bytes, **found}


def describe(compiled: Any, target: Target, kind: Kind) -> dict[str, Any]:
    """Of a compiled program: costs of a step, memory, the costliest operations, and what devices exchange."""
    module, memory = hlo.parse(compiled.as_text()), compiled.memory_analysis()
    costs = hlo.costs(module, hlo.step_of(module))
    flops, moved = sum(cost.flops for cost in costs), sum(cost.bytes for cost in costs)
    estimate = (compiled.cost_analysis() or {}).get("optimal_seconds")
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    peak -= memory.alias_size_in_bytes
    return {
        "flops": flops,
        "bytes": moved,
        "bound_seconds": max(flops / target.flops[kind.precision], moved / target.bandwidth),
        # An operation that the compiler has no estimate for counts as -1 second; steps last less than one.
        "estimated_seconds": estimate % 1 if estimate and estimate < 0 else estimate,
        "peak_bytes": peak,
        "memory_share": peak / target.memory,
        "aliased_bytes": memory.alias_size_in_bytes,
        "costliest": _costliest(costs, target, kind),
        "collectives": hlo.collectives(costs),
        "convolutions": hlo.convolutions(module, costs),
        "layout_changes": hlo.layout_changes(module, costs, LARGE),
        "transfers": hlo.transfers(module),
        "gathered_bytes": hlo.gathered(module, costs),
        "versions": {name: sys.modules[name].__version__ for name in ("jax", "jaxlib")},
    }


def _costliest(costs: Sequence[hlo.Cost], target: Target, kind: Kind) -> list[dict[str, Any]]:
    """The operations that take longest: by the compiler's own cycles where it tells, else by the bound of each."""
    by_cycles = sum(cost.cycles for cost in costs) > 0

    def weight(cost: hlo.Cost) -> float:
        bound = max(cost.flops / target.flops[kind.precision], cost.bytes / target.bandwidth)
        return cost.cycles if by_cycles else bound

    total = sum(map(weight, costs))
    return [
        {
            **{"operation": cost.instruction.source or cost.instruction.opcode, "makes": cost.instruction.made},
            **{"share": weight(cost) / total, "flops": cost.flops, "bytes": cost.bytes},
        }
        for cost in sorted(costs, key=weight, reverse=True)[:COSTLIEST]
    ]


if __name__ == "__main__":
    print(json.dumps(compile_for(*sys.argv[1:])))
