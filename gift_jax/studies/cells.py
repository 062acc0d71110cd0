"""The ordinary cell of a study: one student trained on one distilled set with one seed."""

import dataclasses
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.fkd import StoredLabels
from gift_jax.evaluate import make_evaluator
from gift_jax.models import Model, Variables
from gift_jax.recipes.recipe import Recipe
from gift_jax.studies.results import make_row
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.configuration import describe, describe_evaluation
from gift_jax.training.normalising import settle
from gift_jax.training.program import Program, make_data, make_program
from gift_jax.training.schedule_free import make_tested
from gift_jax.training.train import Run, train

OnEpoch = Callable[[int, float], None]
"""Told how many epochs were done since the last call, and their mean loss."""

CURVE_POINTS = 20  # of a training curve that are kept in a row


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One run of a study: the arguments of `gift_jax.training.train.train`, one seed, and its place in the study.

    labels: names along the study's axes, such as `{"loss": "gift", "optimizer": "sgd"}`; they are not part of the
    cell's identity. validation_set: real training images that settings may be chosen on, measured once at the end.
    """

    labels: Mapping[str, str]
    recipe: Recipe
    student: Model
    distilled: DistilledSet
    teacher: Teacher | None
    evaluation_set: EvaluationSet
    seed: int = 0
    validation_set: EvaluationSet | None = None
    soft_labels: StoredLabels | None = None

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return self.recipe.epochs

    @property
    def looks(self) -> int:
        """How often the student is tested."""
        return sum(map(self.recipe.is_evaluated, range(1, self.recipe.epochs + 1)))

    @property
    def workload(self) -> Hashable:
        """What decides the time of an epoch and of a test: cells that differ in loss, optimizer or seed share it."""
        program = self.program
        tested = [0 if images is None else len(images.labels) for images in (self.evaluation_set, self.validation_set)]
        settings = (program.recipe.augment, program.recipe.precision, *tested)
        return (program.model, program.teacher, program.batching, *settings)

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON: names and settings, and digests of the arrays.

        Raises: GiftError if the dataset is unknown.
        """
        recipe, distilled = settle(self.recipe, self.distilled, self.teacher)
        parts = (recipe, self.student, distilled, self.teacher, self.evaluation_set, self.soft_labels)
        return {**describe(*parts), "validation": describe_evaluation(self.validation_set), "seed": self.seed}

    def shortened(self, epochs: int) -> "Cell":
        """The same cell, trained for fewer epochs and tested once: to see how long one takes."""
        return dataclasses.replace(self, recipe=dataclasses.replace(self.recipe, epochs=epochs, evaluations=1))

    @property
    def program(self) -> Program:
        """What is compiled for it. Raises: GiftError if the parts do not fit each other."""
        recipe, distilled = settle(self.recipe, self.distilled, self.teacher)
        return make_program(recipe, self.student, distilled, self.teacher, self.soft_labels).compiled()

    def run(self, on_epoch: OnEpoch) -> dict[str, Any]:
        """Train and test the student. Returns: a row of `results.jsonl` (`make_row`) with its loss curve.

        Raises: GiftError if the parts do not fit each other, Diverged if a loss is not finite.
        """
        start = time.perf_counter()
        parts = (self.recipe, self.student, self.distilled, self.teacher)
        soft_labels, seeds = self.soft_labels, (self.seed,)
        [run] = train(*parts, self.evaluation_set, soft_labels=soft_labels, seeds=seeds, on_epoch=on_epoch)
        row = {**make_row(run, *parts, self.soft_labels), **self.measure(run), "losses": curve(run.losses)}
        return rounded({**row, "seconds": time.perf_counter() - start})

    def measure(self, run: Run) -> dict[str, Any]:
        """Figures of the student that go into its row beside those of the run: of the validation set, if any.

        Returns: `validation_top1`, in percent. Raises: GiftError if the set is not one that the student takes.
        """
        if self.validation_set is None:
            return {}
        evaluator = make_evaluator(self.student, self.validation_set, self.program.normalisation)
        return {"validation_top1": evaluator(*self.tested(run)).top1}

    def tested(self, run: Run) -> tuple[Variables, Variables]:
        """The weights and statistics that a run's student is tested with. Raises: GiftError as `run` does."""
        return make_tested(self.program)(run.state, make_data(self.distilled, self.teacher))


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
