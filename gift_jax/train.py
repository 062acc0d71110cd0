"""Training: two drivers over the one step of `step.py`, and several seeds.

A `lax.scan` drives the step over an epoch on accelerators, a Python loop on the CPU, where XLA's convolutions
are many times slower in a loop body (docs/porting.md).
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.checkpoint import Teacher
from gift_jax.compiling import jit
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.fkd import StoredLabels
from gift_jax.errors import Diverged, GiftError
from gift_jax.evaluate import Evaluator, make_evaluator
from gift_jax.models import Model
from gift_jax.recipe import Recipe
from gift_jax.replay import make_stored_epoch
from gift_jax.schedule_free import make_tested
from gift_jax.step import Data, Metrics, Program, State, Step, init_state, make_data, make_program, make_step

Driver = Literal["auto", "scan", "loop"]
SeedDriver = Literal["loop", "vmap"]


Epoch = Callable[[State, Data, jax.Array, int], tuple[State, Metrics]]


def make_batches(program: Program) -> Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]:
    """Build `(key, epoch) -> (indices [full batches, B], indices [remainder])`: a permutation, cut."""
    batch_size, count = program.batch_size, program.num_images
    full = min(count // batch_size, program.steps_per_epoch)
    used = min(count, program.steps_per_epoch * batch_size)

    def batches(key: jax.Array, epoch: Any) -> tuple[jax.Array, jax.Array]:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), count)
        return order[: full * batch_size].reshape(full, batch_size), order[full * batch_size : used]

    return batches


@functools.lru_cache
def make_epoch(
    program: Program,
    *,
    driver: Driver = "auto",
    seeds: SeedDriver = "loop",
    soft_labels: StoredLabels | None = None,
) -> Epoch:
    """Build `(state, data, key, epoch) -> (state, metrics [steps])`, jitted; the old state is donated.

    With seeds="vmap", state and key have a leading axis of seeds, and metrics are [seeds, steps]. soft_labels are
    those of the program.
    """
    step = make_step(program)
    if driver == "auto":
        driver = "loop" if jax.default_backend() == "cpu" else "scan"
    if soft_labels is not None:
        return make_stored_epoch(step, soft_labels, scan=driver == "scan", vmapped=seeds == "vmap")
    batches = make_batches(program)
    return {"scan": _make_scan_epoch, "loop": _make_loop_epoch}[driver](step, batches, seeds == "vmap")


def _split_key(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    order_key, step_key = jax.random.split(key)
    return order_key, step_key


def _make_scan_epoch(step: Step, batches: Callable[..., Any], vmapped: bool) -> Epoch:
    def epoch(state: State, data: Data, key: jax.Array, epoch: Any) -> tuple[State, Metrics]:
        order_key, step_key = _split_key(key)
        full, rest = batches(order_key, epoch)
        state, metrics = jax.lax.scan(lambda carry, indices: step(carry, data, indices, step_key), state, full)
        if rest.size:
            state, last = step(state, data, rest, step_key)
            metrics = jax.tree.map(lambda many, one: jnp.append(many, one), metrics, last)
        return state, metrics

    mapped = jax.vmap(epoch, in_axes=(0, None, 0, None)) if vmapped else epoch
    return jit(mapped, donate_argnums=0)


def _make_loop_epoch(step: Step, batches: Callable[..., Any], vmapped: bool) -> Epoch:
    if vmapped:
        step, batches = jax.vmap(step, in_axes=(0, None, 0, 0)), jax.vmap(batches, in_axes=(0, None))
    jitted_step = jit(step, donate_argnums=0)
    split = jax.vmap(_split_key) if vmapped else _split_key

    @jax.jit
    def prepare(key: jax.Array, epoch: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        order_key, step_key = split(key)
        return step_key, *batches(order_key, epoch)

    def epoch(state: State, data: Data, key: jax.Array, epoch: int) -> tuple[State, Metrics]:
        step_key, full, rest = prepare(key, epoch)
        # On the host, cutting a batch out of the order is a view; on the device it would be a dispatch.
        full, rest = np.asarray(full), np.asarray(rest)
        metrics = []
        for indices in [*np.moveaxis(full, -2, 0), *([rest] if rest.size else [])]:
            state, last = jitted_step(state, data, indices, step_key)
            metrics.append(last)
        return state, jax.tree.map(lambda *steps: np.stack(steps, axis=-1), *metrics)

    return epoch


class Evaluation(NamedTuple):
    """A look at the evaluation set after `epoch` epochs; accuracies in percent."""

    epoch: int
    top1: float
    top5: float


class Run(NamedTuple):
    """A finished run: losses [epochs] are epoch means, history the evaluations, times in seconds.

    images_per_second leaves out the first epoch, in which the step is compiled, and all evaluations.
    """

    seed: int
    losses: np.ndarray
    history: tuple[Evaluation, ...]
    state: State
    train_seconds: float
    images_per_second: float

    @property
    def top1_last(self) -> float:
        """Accuracy after the last epoch, in percent."""
        return self.history[-1].top1

    @property
    def top1_best(self) -> float:
        """Best accuracy of all looks at the evaluation set, in percent: the official code's figure."""
        return max(evaluation.top1 for evaluation in self.history)

    @property
    def top5_last(self) -> float:
        """Top-5 accuracy after the last epoch, in percent."""
        return self.history[-1].top5


def train(
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet,
    teacher: Teacher | None,
    evaluation_set: EvaluationSet,
    *,
    soft_labels: StoredLabels | None = None,
    seeds: Sequence[int] = (0,),
    driver: Driver = "auto",
    seed_driver: SeedDriver = "loop",
    on_epoch: Callable[[int, float], None] = lambda epochs, loss: None,
) -> list[Run]:
    """Train one student a seed and evaluate each.

    Args: soft_labels, stored ones instead of a teacher (`gift_jax.data.fkd.load_soft_labels`), whose batches, crops
    and mixing are then trained on; driver and seed_driver, see `make_epoch`; on_epoch is told how many epochs (of any
    seed) were done since the last call, and their mean loss. Returns: a Run a seed, in order.
    Raises: GiftError if the parts do not fit each other, or if a loss is not finite, naming step and cause.
    """
    program = make_program(recipe, student, distilled, teacher, soft_labels)
    if (evaluation_set.dataset, evaluation_set.images.shape[1:]) != (distilled.dataset, student.input_shape):
        raise GiftError(
            f"the evaluation set is {evaluation_set.dataset} at {evaluation_set.images.shape[1:]}, the distilled set "
            f"{distilled.dataset} at {student.input_shape}; give the evaluation set of the same dataset and size"
        )
    if (tested := len(evaluation_set.class_names)) != distilled.num_classes:
        raise GiftError(
            f"the evaluation set has {tested} classes, the distilled set {distilled.num_classes}; restrict both to the "
            "same classes by `gift_jax.subset`"
        )
    _check_pixel_spaces(distilled, evaluation_set)
    data = make_data(distilled, teacher)
    evaluator = make_evaluator(student, evaluation_set, program.normalisation)
    epoch = make_epoch(program.compiled(), driver=driver, seeds=seed_driver, soft_labels=soft_labels)
    groups = [tuple(seeds)] if seed_driver == "vmap" else [(seed,) for seed in seeds]
    stacked = seed_driver == "vmap"
    return [run for group in groups for run in _train_group(program, data, evaluator, epoch, group, stacked, on_epoch)]


def _check_pixel_spaces(distilled: DistilledSet, evaluation_set: EvaluationSet) -> None:
    """Students of whitened images see whitened test images, and no others do. Raises: GiftError."""
    if distilled.pixel_space == "zca" and evaluation_set.pixel_space != "zca":
        raise GiftError(
            f"the {distilled.method} set is whitened (zca), the evaluation set is not; give "
            "`gift_jax.data.evaluation.whiten(evaluation_set, zca)` with the whitening of the real training set, which "
            "`gift_jax.data.zca.fit_zca` makes and `load_zca` reads"
        )
    if evaluation_set.pixel_space == "zca" and distilled.pixel_space != "zca":
        raise GiftError(
            f"the evaluation set is whitened, the {distilled.method} set is {distilled.pixel_space}; give the "
            "evaluation set as it was loaded"
        )


def _train_group(
    program: Program,
    data: Data,
    evaluator: Evaluator,
    epoch: Epoch,
    seeds: tuple[int, ...],
    stacked: bool,
    on_epoch: Callable[[int, float], None],
) -> list[Run]:
    """Train seeds side by side (stacked: with a leading axis), or a single one without that axis."""
    keys = [jax.random.split(jax.random.key(seed)) for seed in seeds]
    states = [init_state(program, init_key) for init_key, _ in keys]
    state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states) if stacked else states[0]
    key = jnp.stack([run_key for _, run_key in keys]) if stacked else keys[0][1]

    def member(index: int) -> State:
        return jax.tree.map(lambda leaf: leaf[index], state) if stacked else state

    losses, histories, seconds, tested = [], [[] for _ in seeds], [], make_tested(program.compiled())
    for number in range(program.recipe.epochs):
        start = time.perf_counter()
        state, metrics = epoch(state, data, key, number)
        metrics = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(len(seeds), -1), metrics)
        seconds.append(time.perf_counter() - start)
        check_finite(metrics, seeds, number * program.steps_per_epoch)
        losses.append(metrics.loss.mean(axis=1))
        on_epoch(len(seeds), float(losses[-1].mean()))
        if program.recipe.is_evaluated(number + 1):
            for index, history in enumerate(histories):
                accuracy = evaluator(*tested(member(index), data))
                history.append(Evaluation(number + 1, *accuracy))
    steady = sum(seconds[1:]) or seconds[0]
    rate = program.num_images * len(seeds) * max(len(seconds) - 1, 1) / steady
    curves = np.stack(losses, axis=1)
    return [
        Run(seed, curves[i], tuple(histories[i]), member(i), sum(seconds) / len(seeds), rate)
        for i, seed in enumerate(seeds)
    ]


_CAUSES = (
    ("teacher_finite", "the teacher's logits were not finite; check its images and convert it again"),
    ("student_finite", "the student's logits were not finite, so its weights diverged; lower the learning rate"),
)


def check_finite(metrics: Metrics, seeds: Sequence[int], first_step: int) -> None:
    """Stop on the first step whose loss is not finite. Args: metrics [seeds, steps]. Raises: Diverged."""
    broken = ~np.isfinite(metrics.loss)
    if not broken.any():
        return
    seed, step = np.argwhere(broken)[np.argmin(np.argwhere(broken)[:, 1])]
    cause = "the loss overflowed on finite logits; lower the learning rate or the loss's weights"
    cause = next((text for field, text in _CAUSES if not getattr(metrics, field)[seed, step]), cause)
    loss = metrics.loss[seed, step]
    raise Diverged(f"training stopped: the loss is {loss} at step {first_step + step} of seed {seeds[seed]}: {cause}")
