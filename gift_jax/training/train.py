"""Training: epochs of one seed after another, or of several side by side, tested now and then."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gift_jax.errors import Diverged
from gift_jax.evaluate import Evaluator
from gift_jax.runtime.progress import listening
from gift_jax.runtime.sharding import SEED, Seeds, lost_hosts_reported, make_mesh, place_on_mesh, select_seed
from gift_jax.training.epochs import Epoch
from gift_jax.training.program import Data, Program, State, init_state
from gift_jax.training.resume import Checkpoints, Store, open_store, store_name
from gift_jax.training.schedule_free import EvaluationWeights
from gift_jax.training.step import Metrics


class Evaluation(NamedTuple):
    """Accuracies on the test images after `epoch` epochs, in percent."""

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
        """Best accuracy of all evaluations, in percent: the official code's figure."""
        return max(evaluation.top1 for evaluation in self.history)

    @property
    def top5_last(self) -> float:
        """Top-5 accuracy after the last epoch, in percent."""
        return self.history[-1].top5


class Students(NamedTuple):
    """What the students of all seeds share; mode says how seeds run together."""

    program: Program
    learning_rate: float
    data: Data
    epoch: Epoch
    evaluate: Evaluator
    evaluation_weights: EvaluationWeights
    mode: Seeds


def train_students(
    students: Students,
    seeds: tuple[int, ...],
    identity: Mapping[str, Any],
    checkpoints: Checkpoints | None,
    on_epoch: Callable[[int, float], None],
    on_run: Callable[[Run], None],
) -> list[Run]:
    """Train and test one student for each seed, group by group as the mode has it.

    Args: identity, all that decides the numbers but the seeds, by which checkpoints are known again; the others are
    those of `gift_jax.task.Task.train`.
    """
    runs = []
    for group in _groups(seeds, students.mode):
        with (
            lost_hosts_reported(),
            open_store(checkpoints, store_name(group), {**identity, "seeds": list(group)}) as store,
        ):
            found = _train_group(students, group, store, on_epoch)
        for run in found:
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


@dataclasses.dataclass
class _Progress:
    """How far some seeds are: losses [epochs][seeds], histories [seeds][evaluations], seconds of all epochs.

    steady are the seconds and the number of those epochs in which nothing was compiled.
    """

    losses: list[list[float]]
    histories: list[list[Evaluation]]
    seconds: float = 0.0
    steady: tuple[float, int] = (0.0, 0)

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """Of what its fields became in JSON."""
        histories = [[Evaluation(*evaluation) for evaluation in history] for history in record["histories"]]
        return cls(record["losses"], histories, record["seconds"], tuple(record["steady"]))


def _start(students: Students, seeds: tuple[int, ...]) -> tuple[State, jax.Array]:
    """Fresh states and keys: stacked unless a single seed is run, and on the mesh if there is one."""
    pairs = [jax.random.split(jax.random.key(seed)) for seed in seeds]
    started = [(init_state(students.program, init_key, students.learning_rate), run_key) for init_key, run_key in pairs]
    if students.mode == "loop":
        return started[0]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *started)


def _train_group(
    students: Students, seeds: tuple[int, ...], store: Store | None, on_epoch: Callable[[int, float], None]
) -> list[Run]:
    """Train seeds side by side, as the mode has it. A mesh's rows beyond them repeat the last one, for nothing."""
    recipe, mode, count = students.program.recipe, students.mode, len(seeds)
    rows = mode.shape[SEED] if isinstance(mode, Mesh) else count
    padded = seeds + seeds[-1:] * (rows - count)
    (state, key), progress = _start(students, padded), _Progress([], [[] for _ in seeds])
    if store and (found := store.restore(state)):
        state, progress = jax.tree.map(jnp.asarray, found[0]), _Progress.read(found[1])
        loss = sum(progress.losses[-1]) / count
        on_epoch(count * len(progress.losses), loss)
        on_epoch(0, loss)
    if isinstance(mode, Mesh):
        state, key = place_on_mesh(state, mode, SEED), place_on_mesh(key, mode)

    first = len(progress.losses)
    for number in range(first, recipe.epochs):
        start = time.perf_counter()
        with listening(store.within_epoch) if store else contextlib.nullcontext():
            state, metrics = students.epoch(state, students.data, key, number)
        metrics = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(rows, -1)[:count], metrics)
        seconds = time.perf_counter() - start
        check_finite(metrics, seeds, number * students.program.steps_per_epoch)
        on_epoch(count, float(metrics.loss.mean()))
        progress.losses.append(metrics.loss.mean(axis=1).tolist())
        progress.seconds += seconds
        if number > first:
            progress.steady = (progress.steady[0] + seconds, progress.steady[1] + 1)
        if recipe.is_evaluated(number + 1):
            for row, history in enumerate(progress.histories):
                history.append(_evaluate(students, select_seed(state, row, mode), seeds[row], number + 1))
        if store:
            store.after_epoch(number + 1, recipe.epochs, state, vars(progress))
    seconds, epochs = progress.steady if progress.steady[1] else (progress.seconds, len(progress.losses))
    return [
        Run(
            seed,
            np.array([losses[row] for losses in progress.losses]),
            tuple(progress.histories[row]),
            select_seed(state, row, mode),
            progress.seconds / count,
            students.program.num_images * count * epochs / seconds,
        )
        for row, seed in enumerate(seeds)
    ]


def _evaluate(students: Students, state: State, seed: int, epoch: int) -> Evaluation:
    """Test a seed's student. Raises: Diverged if it has weights or logits that are not finite."""
    weights = students.evaluation_weights(state, students.data)
    accuracy = students.evaluate(*weights)
    numbers = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(weights))
    if not (numbers and accuracy.finite):
        raise Diverged(
            f"training stopped: the student of seed {seed} has {'logits' if numbers else 'weights'} that are not "
            f"finite after epoch {epoch}; lower the learning rate"
        )
    return Evaluation(epoch, accuracy.top1, accuracy.top5)


def check_finite(metrics: Metrics, seeds: Sequence[int], first_step: int) -> None:
    """Stop on the first step whose loss is not finite. Args: metrics [seeds, steps]. Raises: Diverged."""
    broken = ~np.isfinite(metrics.loss)
    if not broken.any():
        return
    seed, step = np.argwhere(broken)[np.argmin(np.argwhere(broken)[:, 1])]
    cause = "the loss overflowed on finite logits; lower the learning rate or the loss's weights"
    if not metrics.teacher_finite[seed, step]:
        cause = "the teacher's logits were not finite; check its images and convert it again"
    elif not metrics.student_finite[seed, step]:
        cause = "the student's logits were not finite, so its weights diverged; lower the learning rate"
    loss = metrics.loss[seed, step]
    raise Diverged(f"training stopped: the loss is {loss} at step {first_step + step} of seed {seeds[seed]}: {cause}")
