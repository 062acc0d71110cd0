"""The ordinary cell of a study: one student trained on one distilled set with one seed."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gift_jax.checkpoint import Teacher
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.fkd import StoredLabels
from gift_jax.evaluate import make_evaluator
from gift_jax.models import Model, Variables
from gift_jax.recipe import Recipe
from gift_jax.schedule_free import make_tested
from gift_jax.step import Program, make_data, make_program
from gift_jax.study import make_row
from gift_jax.train import Run, train

OnEpoch = Callable[[int, float], None]
"""Told how many epochs were done since the last call, and their mean loss."""

CURVE_POINTS = 20  # of a training curve that are kept in a row
_SAMPLE = 64  # evaluation images that enter a digest: a whole set may be mapped from disk


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One run of a study: the arguments of `gift_jax.train.train`, one seed, and its place in the study.

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

    def configuration(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON: names and settings, and digests of the arrays."""
        return {
            "recipe": dataclasses.asdict(self.recipe),
            "student": dataclasses.asdict(self.student.spec),
            "distilled": _set_digest(self.distilled),
            "teacher": _teacher_digest(self.teacher),
            "evaluation": _evaluation_digest(self.evaluation_set),
            "validation": _evaluation_digest(self.validation_set),
            "soft_labels": dataclasses.asdict(self.soft_labels.info) if self.soft_labels else None,
            "seed": self.seed,
        }

    def shortened(self, epochs: int) -> "Cell":
        """The same cell, trained for fewer epochs and tested once: to see how long one takes."""
        return dataclasses.replace(self, recipe=dataclasses.replace(self.recipe, epochs=epochs, evaluations=1))

    @property
    def program(self) -> Program:
        """What is compiled for it."""
        return make_program(self.recipe, self.student, self.distilled, self.teacher, self.soft_labels).compiled()

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
        """Figures of the student that go into its row beside those of the run: of the validation set, if any."""
        if self.validation_set is None:
            return {}
        evaluator = make_evaluator(self.student, self.validation_set, self.program.normalisation)
        return {"validation_top1": evaluator(*self.tested(run)).top1}

    def tested(self, run: Run) -> tuple[Variables, Variables]:
        """The weights and statistics that a run's student is tested with."""
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


# Digests by the identity of what was digested, which is kept beside its digest so that the identity stays its own.
_DIGESTS: dict[int, tuple[Any, str]] = {}


def digest_arrays(arrays: Any) -> str:
    """SHA-256, 16 digits of it, over the arrays of a tree: shapes, types, places and bytes; once for each tree."""
    if id(arrays) not in _DIGESTS:
        digest = hashlib.sha256()
        for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
            array = np.asarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype}{array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        _DIGESTS[id(arrays)] = (arrays, digest.hexdigest()[:16])
    return _DIGESTS[id(arrays)][1]


def _set_digest(distilled: DistilledSet) -> dict[str, Any]:
    arrays = {"images": distilled.images, "labels": distilled.labels, "soft_labels": distilled.soft_labels}
    digests = {name: None if array is None else digest_arrays(array) for name, array in arrays.items()}
    return {"method": distilled.method, "dataset": distilled.dataset, "space": distilled.pixel_space, **digests}


def _teacher_digest(teacher: Teacher | None) -> dict[str, Any] | None:
    if teacher is None:
        return None
    normalisation = dataclasses.asdict(teacher.info.normalisation)
    return {"weights": digest_arrays(teacher.params), "normalisation": normalisation}


def _evaluation_digest(evaluation_set: EvaluationSet | None) -> dict[str, Any] | None:
    if evaluation_set is None:
        return None
    sample = np.linspace(0, len(evaluation_set.labels) - 1, _SAMPLE).round().astype(int)
    # The sample is a new array each time: its digest is not worth keeping, a dataset's labels are digested once.
    images = hashlib.sha256(np.ascontiguousarray(evaluation_set.images[sample]).data).hexdigest()[:16]
    space, count = evaluation_set.pixel_space, len(evaluation_set.labels)
    labels = digest_arrays(evaluation_set.labels)
    return {"dataset": evaluation_set.dataset, "space": space, "count": count, "labels": labels, "sample": images}
