"""An epoch of training: a permutation of the images, cut into batches, and a driver over the step of `step.py`.

A `lax.scan` drives the step on accelerators. On the CPU, where XLA's convolutions are many times slower in a loop body
(docs/porting.md), a Python loop does, and the step is compiled in its three parts: runs that differ in their loss or
optimizer alone share the others.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.data.fkd import StoredLabels
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import cached_factory, jit, platform
from gift_jax.runtime.progress import tell_part
from gift_jax.runtime.sharding import Seeds, jit_over, over_seeds, split_batch
from gift_jax.training.batch import make_prepare
from gift_jax.training.program import Data, Program, State
from gift_jax.training.replay import make_stored_epoch
from gift_jax.training.step import Metrics, Step, StepParts, compose, make_differentiate, make_step, make_update

Driver = Literal["auto", "scan", "loop"]

Batches = Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]
"""`(key, epoch) -> (indices [full batches, B], indices [remainder])`."""

Epoch = Callable[[State, Data, jax.Array, int], tuple[State, Metrics]]
"""`(state, data, key, epoch) -> (state, metrics [steps])`."""


def make_batches(num_images: int, batch_size: int, steps: int) -> Batches:
    """Build the order of an epoch of so many steps: a permutation of the images, cut into batches."""
    full, used = min(num_images // batch_size, steps), min(num_images, steps * batch_size)

    def batches(key: jax.Array, epoch: Any) -> tuple[jax.Array, jax.Array]:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), num_images)
        return order[: full * batch_size].reshape(full, batch_size), order[full * batch_size : used]

    return batches


@cached_factory
def make_epoch(
    program: Program, *, driver: Driver = "auto", seeds: Seeds = "loop", soft_labels: StoredLabels | None = None
) -> Epoch:
    """Build an epoch of a program, jitted; the old state is donated.

    With seeds="vmap" or a mesh, state and key have a leading axis of seeds, and metrics are [seeds, steps].
    soft_labels are those of the program.
    """
    if driver == "auto":
        driver = "loop" if platform() == "cpu" else "scan"
    if soft_labels is not None:
        many = _make_stored_scan(program, seeds) if driver == "scan" else None
        return make_stored_epoch(_make_jitted_step(program, seeds), many, soft_labels)
    return {"scan": _make_scan_epoch, "loop": _make_loop_epoch}[driver](program, seeds)


def _make_scan_epoch(program: Program, seeds: Seeds) -> Epoch:
    step, batches = split_batch(make_step(program), seeds), make_batches(*program.batching)

    def epoch(state: State, data: Data, key: jax.Array, epoch: Any) -> tuple[State, Metrics]:
        order_key, step_key = jax.random.split(key)
        full, rest = batches(order_key, epoch)
        state, metrics = jax.lax.scan(lambda carry, indices: step(carry, data, indices, step_key), state, full)
        if rest.size:
            state, last = step(state, data, rest, step_key)
            # Appended, XLA would not compile it for GPUs.
            metrics = jax.tree.map(lambda many, one: jnp.pad(many, (0, 1)).at[-1].set(one), metrics, last)
        return state, metrics

    return jit_over(over_seeds(epoch, seeds, (True, False, True, False)), seeds)


def _make_loop_epoch(program: Program, seeds: Seeds) -> Epoch:
    step, order = _make_jitted_step(program, seeds), _make_order(*program.batching, alone=seeds == "loop")

    def epoch(state: State, data: Data, key: jax.Array, epoch: int) -> tuple[State, Metrics]:
        step_key, full, rest = order(key, epoch)
        # On the host, cutting a batch out of the order is a view; on the device it would be a dispatch.
        full, rest = np.asarray(full), np.asarray(rest)
        chosen, metrics = [*np.moveaxis(full, -2, 0), *([rest] if rest.size else [])], []
        for indices in chosen:
            state, last = step(state, data, indices, step_key)
            metrics.append(last)
            tell_part(len(metrics) / len(chosen))
        return state, jax.tree.map(lambda *steps: np.stack(steps, axis=-1), *metrics)

    return epoch


@cached_factory
def _make_stored_scan(program: Program, seeds: Seeds) -> Callable[..., Any]:
    """Compiled `(state, data, batches, key) -> (state, metrics [steps])` of stored batches, the same for all seeds."""
    step = over_seeds(split_batch(make_step(program), seeds), seeds, (True, False, False, True))

    def scanned(state: State, data: Data, batches: Any, key: jax.Array) -> tuple[State, Metrics]:
        return jax.lax.scan(lambda carry, batch: step(carry, data, batch, key), state, batches)

    return jit_over(scanned, seeds)


@cached_factory
def _make_order(num_images: int, batch_size: int, steps: int, *, alone: bool) -> Callable[..., Any]:
    batches = make_batches(num_images, batch_size, steps)

    def order(key: jax.Array, epoch: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        order_key, step_key = jax.random.split(key)
        return step_key, *batches(order_key, epoch)

    return jax.jit(order if alone else jax.vmap(order, in_axes=(0, None)))


@cached_factory
def _make_jitted_step(program: Program, seeds: Seeds) -> Step:
    """The step in its parts, or as a whole for several seeds, and if the update asks for the loss again.

    Seeds have batches of their own, but for stored ones.
    """
    if seeds != "loop" or program.reads_loss:
        mapped = (True, False, not program.stored, True)
        return jit_over(over_seeds(split_batch(make_step(program), seeds), seeds, mapped), seeds)
    # Preparing a batch reads no network: students of one teacher share it too.
    networkless = program._replace(model=program.teacher or program.model, teacher=None)
    return compose(
        StepParts(
            jit_prepare(_alike(networkless, PREPARED)),
            jit_differentiate(_alike(program, DIFFERENTIATED)),
            jit_update(_alike(program._replace(teacher=None), UPDATED)),
        )
    )


# What of a recipe each part of the step reads.
PREPARED = (
    "augment",
    "single_operation",
    "factor",
    "shuffle",
    "smallest_crop",
    "jitter",
    "lighting",
    "mix",
    "mix_probability",
    "batch_size",
    "max_steps",
)
DIFFERENTIATED = ("loss", "loss_options", "mix", "mix_labels", "precision")
UPDATED = ("optimizer", "schedule", "epochs", "batch_size", "max_steps", "ema")


def _alike(program: Program, settings: tuple[str, ...]) -> Program:
    """The program with the default for every other setting, so that programs alike in these are equal."""
    return program._replace(recipe=Recipe(**{name: getattr(program.recipe, name) for name in settings}))


@cached_factory
def jit_prepare(program: Program) -> Callable[..., Any]:
    """`make_prepare`, compiled; one for all programs alike in `PREPARED`."""
    return jit(make_prepare(program))


@cached_factory
def jit_differentiate(program: Program) -> Callable[..., Any]:
    """`make_differentiate`, compiled; one for all programs of a student alike in `DIFFERENTIATED`."""
    return jit(make_differentiate(program), donate_argnums=1)


@cached_factory
def jit_update(program: Program) -> Callable[..., Any]:
    """`make_update`, compiled; one for all programs of a student alike in `UPDATED`."""
    return jit(make_update(program), donate_argnums=(0, 1))
