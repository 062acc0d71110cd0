"""Training: epochs of one seed after another, or of several side by side, with looks at the evaluation set."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.fkd import StoredLabels
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import Diverged, GiftError
from gift_jax.evaluate import Evaluator, make_evaluator
from gift_jax.models import Model
from gift_jax.optim import is_reached
from gift_jax.readers.classes import different_ids
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.seeds import check_seeds
from gift_jax.runtime.sharding import SEED, Seeds, lost_hosts_reported, make_mesh, place_on_mesh, select_seed
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.configuration import describe
from gift_jax.training.epochs import Driver, Epoch, make_epoch
from gift_jax.training.normalising import settle
from gift_jax.training.phases import make_phased_epoch
from gift_jax.training.program import Data, Program, State, init_state, make_data, make_program
from gift_jax.training.resume import Checkpoints, Store, open_store
from gift_jax.training.schedule_free import Tested, make_tested
from gift_jax.training.step import Metrics
from gift_jax.training.streaming import Placement, make_streamed_data, make_streamed_epoch, place


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
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    evaluation_set: EvaluationSet,
    *,
    soft_labels: StoredLabels | None = None,
    seeds: Sequence[int] = (0,),
    driver: Driver = "auto",
    seed_driver: Seeds | Literal["auto"] = "auto",
    checkpoints: Checkpoints | None = None,
    placement: Placement = "auto",
    on_epoch: Callable[[int, float], None] = lambda epochs, loss: None,
    on_run: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Train one student a seed and evaluate each.

    Args: soft_labels, stored ones instead of a teacher (`gift_jax.data.fkd.load_soft_labels`), whose batches, crops
    and mixing are then trained on; driver and seed_driver, see `make_epoch` and `choose_seeds`; placement, whether the
    set is kept on the device or streamed to it, by itself the former if it fits (`gift_jax.training.streaming.place`);
    checkpoints, where the state is saved and taken up again; on_epoch is told how many epochs (of any seed) were done
    since the last call, and their mean loss; on_run of each finished run.
    Returns: a Run a seed, in order. Raises: GiftError if the parts do not fit each other; Diverged if a loss is not
    finite, naming step and cause; Preempted after SIGTERM, if there are checkpoints.
    """
    check_seeds(seeds)
    if not is_reached(recipe.schedule, recipe.epochs):
        rise = f"the learning rate rises for {recipe.schedule.warmup_epochs} epochs and never reaches its value"
        print(f"warning: {rise} in a run of {recipe.epochs}; give more epochs", file=sys.stderr)
    recipe, distilled = settle(recipe, distilled, teacher)
    program = make_program(recipe, student, distilled, teacher, soft_labels)
    if (evaluation_set.dataset, evaluation_set.images.shape[1:]) != (distilled.dataset, student.input_shape):
        raise GiftError(
            f"the evaluation set is {evaluation_set.dataset} at {evaluation_set.images.shape[1:]}, the distilled set "
            f"{distilled.dataset} at {student.input_shape}; give the evaluation set of the same dataset and size"
        )
    if (tested := len(evaluation_set.class_names)) != distilled.num_classes:
        raise GiftError(
            f"the evaluation set has {tested} classes, the distilled set {distilled.num_classes}; restrict both to the "
            "same classes by `gift_jax.studies.subset`"
        )
    _check_pixel_spaces(distilled, evaluation_set)
    check_class_orders(distilled, evaluation_set)
    mode = choose_seeds(len(seeds), program.batch_size) if seed_driver == "auto" else seed_driver
    mesh = mode if isinstance(mode, Mesh) else None
    compiled = program.compiled()
    streamed = place(distilled, placement, stored=soft_labels is not None).streamed

    def epoch_of(part: Program) -> Epoch:
        if streamed or isinstance(distilled, RecordSet):
            return make_streamed_epoch(part, distilled, mode)
        return make_epoch(part, driver=driver, seeds=mode, soft_labels=soft_labels if part.stored else None)

    if streamed or isinstance(distilled, RecordSet):
        data = make_streamed_data(teacher)
    else:
        data = make_data(distilled, teacher)
    epoch = make_phased_epoch(compiled, epoch_of)
    shared = _Parts(
        program,
        data if mesh is None else place_on_mesh(data, mesh),
        make_evaluator(student, evaluation_set, program.normalisation, mesh=mesh),
        epoch,
        make_tested(compiled, streamed=streamed),
        mode,
    )

    def train_group(group: tuple[int, ...]) -> list[Run]:
        parts = (program.recipe, student, distilled, teacher, evaluation_set, soft_labels)
        identity = {**describe(*parts), "seeds": list(group)} if checkpoints else {}
        name = "seed_" + "_".join(map(str, group))
        with lost_hosts_reported(), open_store(checkpoints, name, identity) as store:
            return _train_group(shared, group, store, on_epoch)

    runs = []
    for group in _groups(tuple(seeds), mode):
        for run in train_group(group):
            on_run(run)
            runs.append(run)
    return runs


def choose_seeds(num_seeds: int, batch_size: int) -> Seeds:
    """All devices for several hosts or accelerators; the CPU's stay one, unless a mesh of them is given."""
    single = jax.device_count() == 1 or (jax.default_backend() == "cpu" and jax.process_count() == 1)
    return "loop" if single else make_mesh(num_seeds, batch_size)


def _groups(seeds: tuple[int, ...], mode: Seeds) -> list[tuple[int, ...]]:
    size = {"loop": 1, "vmap": len(seeds)}[mode] if isinstance(mode, str) else mode.shape[SEED]
    return [seeds[start : start + size] for start in range(0, len(seeds), max(size, 1))]


def _check_pixel_spaces(distilled: DistilledSet | RecordSet, evaluation_set: EvaluationSet) -> None:
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


def check_class_orders(distilled: DistilledSet | RecordSet, evaluation_set: EvaluationSet) -> None:
    """Raises: GiftError if a class has one number in the set and another in the test images."""
    ours = distilled.class_names if isinstance(distilled, DistilledSet) else ()
    theirs = evaluation_set.class_names
    if found := different_ids(ours, theirs):
        label = found[1]
        raise GiftError(
            f"label {label} is {ours[label]!r} in the {distilled.method} set and {theirs[label]!r} in the test images; "
            "give the test images the set's order by `class_order`, or convert the set with theirs"
        )


class _Progress(NamedTuple):
    """How far some seeds are: losses [epochs][seeds], evaluations [seeds][looks], seconds of all epochs.

    steady are the seconds and the number of those epochs in which nothing was compiled.
    """

    losses: list[list[float]]
    histories: list[list[Evaluation]]
    seconds: float
    steady: tuple[float, int]

    def after(self, losses: np.ndarray, looks: list[list[Evaluation]], seconds: float, *, compiled: bool) -> Self:
        """One epoch further."""
        histories = [[*history, *new] for history, new in zip(self.histories, looks, strict=True)]
        steady = self.steady if compiled else (self.steady[0] + seconds, self.steady[1] + 1)
        return type(self)([*self.losses, losses.tolist()], histories, self.seconds + seconds, steady)

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """Of what `_asdict` became in JSON."""
        histories = [[Evaluation(*look) for look in history] for history in record["histories"]]
        return cls(record["losses"], histories, record["seconds"], tuple(record["steady"]))


class _Parts(NamedTuple):
    """What all seeds share."""

    program: Program
    data: Data
    evaluate: Evaluator
    epoch: Epoch
    tested: Tested
    mode: Seeds


def _start(parts: _Parts, seeds: tuple[int, ...]) -> tuple[State, jax.Array]:
    """Fresh states and keys: stacked unless a single seed is run, and on the mesh if there is one."""
    keys = [jax.random.split(jax.random.key(seed)) for seed in seeds]
    if parts.mode == "loop":
        [(init_key, run_key)] = keys
        return init_state(parts.program, init_key), run_key
    states = [init_state(parts.program, init_key) for init_key, _ in keys]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), jnp.stack([run_key for _, run_key in keys])


def _train_group(
    parts: _Parts, seeds: tuple[int, ...], store: Store | None, on_epoch: Callable[[int, float], None]
) -> list[Run]:
    """Train seeds side by side, as the mode has it. A mesh's rows beyond them repeat the last one, for nothing."""
    recipe, mode, count = parts.program.recipe, parts.mode, len(seeds)
    rows = mode.shape[SEED] if isinstance(mode, Mesh) else count
    padded = seeds + seeds[-1:] * (rows - count)
    (state, key), progress = _start(parts, padded), _Progress([], [[] for _ in seeds], 0.0, (0.0, 0))
    if store and (found := store.restore(state)):
        state, progress = jax.tree.map(jnp.asarray, found[0]), _Progress.read(found[1])
        on_epoch(count * len(progress.losses), sum(progress.losses[-1]) / count)
    if isinstance(mode, Mesh):
        state, key = place_on_mesh(state, mode, SEED), place_on_mesh(key, mode)

    first = len(progress.losses)
    for number in range(first, recipe.epochs):
        start = time.perf_counter()
        state, metrics = parts.epoch(state, parts.data, key, number)
        metrics = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(rows, -1)[:count], metrics)
        seconds = time.perf_counter() - start
        check_finite(metrics, seeds, number * parts.program.steps_per_epoch)
        on_epoch(count, float(metrics.loss.mean()))
        looks = _evaluate(parts, state, count, number + 1) if recipe.is_evaluated(number + 1) else [[] for _ in seeds]
        progress = progress.after(metrics.loss.mean(axis=1), looks, seconds, compiled=number == first)
        if store:
            store.after_epoch(number + 1, recipe.epochs, state, progress._asdict())
    return [_finish(parts, progress, state, seed, row, count) for row, seed in enumerate(seeds)]


def _evaluate(parts: _Parts, state: State, count: int, epoch: int) -> list[list[Evaluation]]:
    students = (parts.tested(select_seed(state, row, parts.mode), parts.data) for row in range(count))
    return [[Evaluation(epoch, *parts.evaluate(*student))] for student in students]


def _finish(parts: _Parts, progress: _Progress, state: State, seed: int, row: int, count: int) -> Run:
    seconds, epochs = progress.steady if progress.steady[1] else (progress.seconds, len(progress.losses))
    return Run(
        seed,
        np.array([losses[row] for losses in progress.losses]),
        tuple(progress.histories[row]),
        select_seed(state, row, parts.mode),
        progress.seconds / count,
        parts.program.num_images * count * epochs / seconds,
    )


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
