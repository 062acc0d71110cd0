"""Training: one jitted step, two drivers over it, several seeds.

The step augments, asks the frozen teacher, differentiates the loss and updates the student, all on the
device. A `lax.scan` drives it over an epoch on accelerators, a Python loop on the CPU, where XLA's
convolutions are many times slower in a loop body (docs/porting.md).
"""

import functools
import time
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gift_jax.augment import MIXINGS, make_strategy, random_mosaic_crop
from gift_jax.checkpoint import Teacher
from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.pixels import to_input
from gift_jax.errors import GiftError
from gift_jax.evaluate import Evaluator, make_evaluator
from gift_jax.losses import LOSSES
from gift_jax.models import Model, Variables
from gift_jax.optim import make_optimizer, make_schedule
from gift_jax.recipe import Recipe

Driver = Literal["auto", "scan", "loop"]
SeedDriver = Literal["loop", "vmap"]


class Program(NamedTuple):
    """Everything that is compiled into the step; hashable, so that equal programs share one compilation."""

    model: Model
    teacher: Model | None
    recipe: Recipe
    num_images: int
    pixel_space: PixelSpace
    normalisation: Normalisation

    @property
    def batch_size(self) -> int:
        """Images a step; the last step of an epoch takes what remains."""
        return self.recipe.resolve_batch_size(self.num_images)

    @property
    def steps_per_epoch(self) -> int:
        """Steps an epoch, the remainder's included."""
        return -(-self.num_images // self.batch_size)

    def optimizer(self) -> optax.GradientTransformation:
        """The optax transformation with the schedule in steps."""
        optimizer, epochs = self.recipe.optimizer, self.recipe.epochs
        schedule = make_schedule(self.recipe.schedule, optimizer.learning_rate, epochs, self.steps_per_epoch)
        return make_optimizer(optimizer, schedule)


class Data(NamedTuple):
    """What the step reads and never changes: the distilled set and the teacher's weights, on the device."""

    images: jax.Array
    labels: jax.Array
    soft_labels: jax.Array | None
    teacher_params: Variables | None


class State(NamedTuple):
    """What the step changes; step counts from 0."""

    params: Variables
    batch_stats: Variables
    opt_state: optax.OptState
    step: jax.Array


class Metrics(NamedTuple):
    """The batch-mean loss, and whether the teacher's and the student's logits were finite."""

    loss: jax.Array
    teacher_finite: jax.Array
    student_finite: jax.Array


Step = Callable[[State, Data, jax.Array, jax.Array], tuple[State, Metrics]]
Epoch = Callable[[State, Data, jax.Array, int], tuple[State, Metrics]]


def make_step(program: Program) -> Step:
    """Build the training step `(state, data, indices int [B], key) -> (state, metrics)`, not jitted.

    The step's own key is `fold_in(key, state.step)`, so a run is decided by its seed alone.
    """
    recipe = program.recipe
    criterion = functools.partial(LOSSES[recipe.loss], **dict(recipe.loss_options))
    augment, mix = make_strategy(recipe.augment), MIXINGS[recipe.mix]
    optimizer = program.optimizer()

    def step(state: State, data: Data, indices: jax.Array, key: jax.Array) -> tuple[State, Metrics]:
        crop_key, augment_key, mix_key = jax.random.split(jax.random.fold_in(key, state.step), 3)
        labels = data.labels[indices]
        images = to_input(data.images[indices], program.pixel_space, program.normalisation)
        images = augment(augment_key, random_mosaic_crop(crop_key, images, recipe.factor))
        images, partners, kept = mix(mix_key, images)
        teacher_logits = jax.lax.stop_gradient(_targets(program, data, images, indices, partners, kept))

        def mean_loss(params: Variables) -> tuple[jax.Array, tuple[jax.Array, Variables]]:
            logits, batch_stats = program.model.apply(params, state.batch_stats, images, train=True)
            losses = criterion(logits, teacher_logits, labels)
            if recipe.mix != "none":
                losses = kept * losses + (1 - kept) * criterion(logits, teacher_logits, labels[partners])
            return jnp.mean(losses), (logits, batch_stats)

        (loss, (logits, batch_stats)), gradients = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
        # optax raises floats to integer counts, which the tests' strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        metrics = Metrics(loss, jnp.isfinite(teacher_logits).all(), jnp.isfinite(logits).all())
        return State(params, batch_stats, opt_state, state.step + 1), metrics

    return step


def _targets(
    program: Program, data: Data, images: jax.Array, indices: jax.Array, partners: jax.Array, kept: jax.Array
) -> jax.Array:
    """The teacher's logits on this very batch; else the stored ones; else, for `ce`, which reads none, zeros."""
    if program.teacher is not None:
        return program.teacher.apply(typing.cast(Variables, data.teacher_params), {}, images)[0]
    if data.soft_labels is None:
        return jnp.zeros((len(indices), program.model.spec.num_classes), images.dtype)
    stored = data.soft_labels[indices].astype(images.dtype)
    return stored if program.recipe.mix == "none" else kept * stored + (1 - kept) * stored[partners]


def make_batches(program: Program) -> Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]:
    """Build `(key, epoch) -> (indices [full batches, B], indices [remainder])`: a permutation, cut."""
    batch_size, count = program.batch_size, program.num_images
    full = count // batch_size

    def batches(key: jax.Array, epoch: Any) -> tuple[jax.Array, jax.Array]:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), count)
        return order[: full * batch_size].reshape(full, batch_size), order[full * batch_size :]

    return batches


@functools.lru_cache
def make_epoch(program: Program, *, driver: Driver = "auto", seeds: SeedDriver = "loop") -> Epoch:
    """Build `(state, data, key, epoch) -> (state, metrics [steps])`, jitted; the old state is donated.

    With seeds="vmap", state and key have a leading axis of seeds, and metrics are [seeds, steps].
    """
    step, batches = make_step(program), make_batches(program)
    if driver == "auto":
        driver = "loop" if jax.default_backend() == "cpu" else "scan"
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
    return jax.jit(mapped, donate_argnums=0)


def _make_loop_epoch(step: Step, batches: Callable[..., Any], vmapped: bool) -> Epoch:
    if vmapped:
        step, batches = jax.vmap(step, in_axes=(0, None, 0, 0)), jax.vmap(batches, in_axes=(0, None))
    jitted_step = jax.jit(step, donate_argnums=0)
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


def init_state(program: Program, key: jax.Array) -> State:
    """Draw a student from PyTorch's initial distribution and an optimizer state for it."""
    params, batch_stats = program.model.init(key)
    return State(params, batch_stats, program.optimizer().init(params), jnp.zeros((), jnp.int32))


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


def make_program(recipe: Recipe, student: Model, distilled: DistilledSet, teacher: Teacher | None) -> Program:
    """Check that student, set, teacher and loss fit each other, and bind them. Raises: GiftError."""
    shape = distilled.images.shape[1:]
    if shape != student.input_shape or distilled.num_classes != student.spec.num_classes:
        raise GiftError(
            f"student {student.spec.name!r} takes {student.input_shape} images of {student.spec.num_classes} classes, "
            f"the distilled set has {shape} of {distilled.num_classes}; create the student for this set"
        )
    if teacher is not None and (teacher.info.dataset, teacher.model.input_shape) != (distilled.dataset, shape):
        raise GiftError(
            f"the teacher is of {teacher.info.dataset} at {teacher.model.input_shape}, the distilled set of "
            f"{distilled.dataset} at {shape}; convert the teacher of that dataset and size"
        )
    if teacher is None and distilled.soft_labels is None and recipe.loss != "ce":
        raise GiftError(f"loss {recipe.loss!r} needs soft labels: give a teacher, or a set that stores them")
    normalisation = teacher.info.normalisation if teacher else get_dataset(distilled.dataset).normalisation
    model = teacher.model if teacher else None
    return Program(student, model, recipe, len(distilled.labels), distilled.pixel_space, normalisation)


def make_data(distilled: DistilledSet, teacher: Teacher | None) -> Data:
    """Put a distilled set and its teacher's weights on the device."""
    soft_labels = None if distilled.soft_labels is None else jnp.asarray(distilled.soft_labels)
    teacher_params = jax.tree.map(jnp.asarray, teacher.params) if teacher else None
    return Data(jnp.asarray(distilled.images), jnp.asarray(distilled.labels), soft_labels, teacher_params)


def train(
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet,
    teacher: Teacher | None,
    evaluation_set: EvaluationSet,
    *,
    seeds: Sequence[int] = (0,),
    driver: Driver = "auto",
    seed_driver: SeedDriver = "loop",
    on_epoch: Callable[[int, float], None] = lambda epochs, loss: None,
) -> list[Run]:
    """Train one student a seed and evaluate each.

    Args: driver and seed_driver, see `make_epoch`; on_epoch is told how many epochs (of any seed) were done
    since the last call, and their mean loss. Returns: a Run a seed, in order.
    Raises: GiftError if the parts do not fit each other, or if a loss is not finite, naming step and cause.
    """
    program = make_program(recipe, student, distilled, teacher)
    if (evaluation_set.dataset, evaluation_set.images.shape[1:]) != (distilled.dataset, student.input_shape):
        raise GiftError(
            f"the evaluation set is {evaluation_set.dataset} at {evaluation_set.images.shape[1:]}, the distilled set "
            f"{distilled.dataset} at {student.input_shape}; give the evaluation set of the same dataset and size"
        )
    data = make_data(distilled, teacher)
    evaluator = make_evaluator(student, evaluation_set, program.normalisation)
    epoch = make_epoch(program, driver=driver, seeds=seed_driver)
    groups = [tuple(seeds)] if seed_driver == "vmap" else [(seed,) for seed in seeds]
    stacked = seed_driver == "vmap"
    return [run for group in groups for run in _train_group(program, data, evaluator, epoch, group, stacked, on_epoch)]


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

    losses, histories, seconds = [], [[] for _ in seeds], []
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
                accuracy = evaluator(member(index).params, member(index).batch_stats)
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
    """Stop on the first step whose loss is not finite. Args: metrics [seeds, steps]. Raises: GiftError."""
    broken = ~np.isfinite(metrics.loss)
    if not broken.any():
        return
    seed, step = np.argwhere(broken)[np.argmin(np.argwhere(broken)[:, 1])]
    cause = "the loss overflowed on finite logits; lower the learning rate or the loss's weights"
    cause = next((text for field, text in _CAUSES if not getattr(metrics, field)[seed, step]), cause)
    loss = metrics.loss[seed, step]
    raise GiftError(f"training stopped: the loss is {loss} at step {first_step + step} of seed {seeds[seed]}: {cause}")
