"""An epoch of training: a permutation of the images, cut into batches, and a driver over the step of `step.py`.

A `lax.scan` drives the step on accelerators. On the CPU, where XLA's convolutions are many times slower in a loop body
(docs/porting.md), a Python loop does, and the step is compiled in its three parts: runs that differ in their loss or
optimizer alone share the others.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.data.stored_labels import StoredLabels
from gift_jax.errors import GiftError
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import cached_factory, jit, platform
from gift_jax.runtime.progress import tell_part
from gift_jax.runtime.sharding import Seeds, jit_over, over_seeds, split_batch
from gift_jax.training.batch import make_prepare
from gift_jax.training.program import Data, Program, State
from gift_jax.training.step import Metrics, Step, compose, make_differentiate, make_step, make_update

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


def make_phased_epoch(program: Program, make: Callable[[Program], Epoch]) -> Epoch:
    """Build the epoch of a run whose losses change with its epochs out of those that make builds, one for each loss.

    Epochs of `ce` ask no teacher, and with stored soft labels they draw crops of their own, as HALD does: a hard label
    is right for every crop. The stored epochs go on behind them where they stopped.
    Raises: GiftError if epochs differ in their steps.
    """
    recipe = program.recipe
    if not recipe.phases:
        return make(program)

    def phase(one: Recipe) -> Program:
        hard = {"teacher": None, "stored": None} if one.loss == "ce" else {}
        found = program._replace(recipe=one, **hard)
        if (steps := found.steps_per_epoch) != program.steps_per_epoch:
            raise GiftError(
                f"epochs of hard labels have {steps} steps, those of the stored soft labels {program.steps_per_epoch}; "
                "train from labels that were stored for all images"
            )
        return found

    programs = {one: phase(one) for _, one in recipe.parts}
    epochs = {one: make(found) for one, found in programs.items()}

    def epoch(state: State, data: Data, key: jax.Array, number: int) -> tuple[State, Metrics]:
        one = recipe.during(number)
        return epochs[one](state, data, key, recipe.soft_epochs(number) if programs[one].stored else number)

    return epoch


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
        return _make_stored_epoch(program, seeds, soft_labels, scanned=driver == "scan")
    return {"scan": _make_scan_epoch, "loop": _make_loop_epoch}[driver](program, seeds)


def run_steps(
    step: Callable[[State, Any], tuple[State, Metrics]],
    state: State,
    batches: Iterable[Any],
    count: int,
    *,
    ahead: int | None = None,
) -> tuple[State, Metrics]:
    """Step over so many batches, telling how far it is. Returns: the state, and metrics [..., count] on the host.

    Args: ahead, how many steps the device may be given before it is waited for, None: all.
    """
    metrics = []
    for batch in batches:
        state, last = step(state, batch)
        metrics.append(last)
        tell_part(len(metrics) / count)
        if ahead is not None and len(metrics) > ahead:
            jax.block_until_ready(metrics[-1 - ahead])
    return state, jax.tree.map(lambda *steps: np.stack(steps, axis=-1), *metrics)


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
        chosen = [*np.moveaxis(full, -2, 0), *([rest] if rest.size else [])]
        return run_steps(lambda state, rows: step(state, data, rows, step_key), state, chosen, len(chosen))

    return epoch


def _make_stored_epoch(program: Program, seeds: Seeds, labels: StoredLabels, *, scanned: bool) -> Epoch:
    """An epoch over the batches that are stored for it, the same for all seeds."""
    step, scan = _make_jitted_step(program, seeds), _make_stored_scan(program, seeds) if scanned else None

    def epoch(state: State, data: Data, key: jax.Array, epoch: int) -> tuple[State, Metrics]:
        full, rest = labels.epoch(epoch)
        parts, chosen = [], [] if rest is None else [rest]
        if scan:
            state, metrics = scan(state, data, full, key)
            parts = [jax.tree.map(lambda values: np.moveaxis(values, 0, -1), metrics)]
        else:
            single = (jax.tree.map(operator.itemgetter(place), full) for place in range(len(full.indices)))
            chosen = [*single, *chosen]
        if chosen:
            state, last = run_steps(lambda state, batch: step(state, data, batch, key), state, chosen, len(chosen))
            parts.append(last)
        return state, jax.tree.map(lambda *values: np.concatenate(values, axis=-1), *parts)

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
        jit_part(make_prepare, _alike(networkless, PREPARED)),
        jit_part(make_differentiate, _alike(program, DIFFERENTIATED), 1),
        jit_part(make_update, _alike(program._replace(teacher=None), UPDATED), 0, 1),
    )


# What of a recipe each part of the step reads.
PREPARED = (
    "augment", "single_operation", "factor", "shuffle", "smallest_crop", "jitter", "lighting", "mix", "mix_probability",
    "batch_size", "max_steps",
)  # fmt: skip
DIFFERENTIATED = ("loss", "loss_options", "mix", "mix_labels", "precision")
UPDATED = ("optimizer", "schedule", "epochs", "batch_size", "max_steps", "ema")


def _alike(program: Program, settings: tuple[str, ...]) -> Program:
    """The program with the default for every other setting, so that programs alike in these are equal."""
    return program._replace(recipe=Recipe(**{name: getattr(program.recipe, name) for name in settings}))


@cached_factory
def jit_part(make: Callable[[Program], Callable[..., Any]], program: Program, *donated: int) -> Callable[..., Any]:
    """A part of the step, compiled; one for all programs alike in what it reads."""
    return jit(make(program), donate_argnums=donated)
