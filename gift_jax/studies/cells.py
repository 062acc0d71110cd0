"""The ordinary cell of a study: one student trained on one distilled set with one seed."""

import dataclasses
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from gift_jax.data.evaluation import EvaluationSet
from gift_jax.evaluate import make_evaluator
from gift_jax.runtime.seeds import check_seeds
from gift_jax.task import Task, check_test_set
from gift_jax.training.identity import test_set_identity
from gift_jax.training.program import Program
from gift_jax.training.train import Run

OnEpoch = Callable[[int, float], None]
"""Told how many epochs were done since the last call, and their mean loss."""

CURVE_POINTS = 20  # of a training curve that are kept in a row


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One run of a study.

    Args:
        labels: names along the study's axes, such as `{"loss": "gift", "optimizer": "sgd"}`; no part of its identity.
        task: what the student is trained on.
        seed: of the student.
        validation_set: real training images that settings may be chosen on, measured once at the end.

    Raises:
        GiftError: if the validation set does not fit the task.
    """

    labels: Mapping[str, str]
    task: Task
    seed: int = 0
    validation_set: EvaluationSet | None = None

    def __post_init__(self) -> None:
        check_seeds([self.seed])
        object.__setattr__(self, "seed", int(self.seed))  # of NumPy's too, which JSON does not take
        if self.validation_set is not None:
            check_test_set(self.task, self.validation_set)

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return self.task.recipe.epochs

    @property
    def num_evaluations(self) -> int:
        """How often the student is tested."""
        return self.task.recipe.num_evaluations

    @property
    def num_tested(self) -> int:
        """Images that the student is tested and validated on."""
        return sum(len(images.labels) for images in (self.task.test_set, self.validation_set) if images)

    @property
    def workload(self) -> Hashable:
        """What decides the time of an epoch and of a test: cells that differ in loss, optimizer or seed share it."""
        program, recipe = self.program, self.program.recipe
        return program.model, program.teacher, program.batching, recipe.augment, recipe.precision, self.num_tested

    @property
    def program(self) -> Program:
        """What is compiled for it."""
        return self.task.program

    @property
    def record(self) -> dict[str, Any]:
        """What a row says of the run beside its figures."""
        return self.task.record

    def identity(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON: names and settings, and digests of the arrays."""
        return {**self.task.identity(), "validation": test_set_identity(self.validation_set), "seed": self.seed}

    def shortened(self, epochs: int, tested: int) -> "Cell":
        """The same cell, trained for fewer epochs, and tested and validated once on at most so many images each."""
        recipe = dataclasses.replace(self.task.recipe, epochs=epochs, evaluations=1)
        sets = (self.task.test_set, self.validation_set)
        test_set, validation_set = (images and images.thinned(tested) for images in sets)
        task = dataclasses.replace(self.task, recipe=recipe, test_set=test_set)
        return dataclasses.replace(self, task=task, validation_set=validation_set)

    def run(self, on_epoch: OnEpoch) -> dict[str, Any]:
        """Train and test the student.

        Returns:
            A row of `results.jsonl` (`Task.row`) with its loss curve.

        Raises:
            Diverged: if a loss is not finite.
        """
        start = time.perf_counter()
        [run] = self.task.train((self.seed,), on_epoch=on_epoch)
        row = {**self.task.row(run), **self.measure(run), "losses": curve(run.losses)}
        return rounded({**row, "seconds": time.perf_counter() - start})

    def measure(self, run: Run) -> dict[str, Any]:
        """Figures of the student that go into its row beside those of the run: `validation_top1`, in percent."""
        if self.validation_set is None:
            return {}
        evaluator = make_evaluator(self.task.student, self.validation_set, self.task.normalisation)
        return {"validation_top1": evaluator(*self.task.evaluation_weights(run.state)).top1}


def curve(losses: np.ndarray) -> list[tuple[int, float]]:
    """(epoch, mean loss of it) at evenly spread epochs, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(losses) - 1, CURVE_POINTS).round().astype(int))
    return [(int(epoch) + 1, float(losses[epoch])) for epoch in chosen]


def rounded(value: Any) -> Any:
    """JSON whose numbers have six digits, more than any of them is worth: rows are many."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
