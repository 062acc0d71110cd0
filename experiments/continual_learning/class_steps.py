"""Class-incremental learning: the order in which classes come, and figures of a whole sequence of steps."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gift_jax.evaluate import make_ranker
from gift_jax.studies.cells import Cell
from gift_jax.task import Task
from gift_jax.training.train import Run


def class_steps(num_classes: int, steps: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Class ids in the order of a seed, however many steps, cut into steps of equal size (larger ones first)."""
    order = np.random.default_rng(seed).permutation(num_classes)
    return tuple(tuple(part.tolist()) for part in np.array_split(order, steps))


def forgetting(accuracies: Sequence[Sequence[float]]) -> float:
    """How far accuracy on earlier tasks fell: the mean over tasks but the last of (best earlier - final) accuracy.

    Args: accuracies, row k of which holds, after step k, the accuracy on each of the tasks 0..k, two at least; a task
    is the classes of one step. Returns: in the accuracies' unit, negative if earlier tasks gained.
    Reference: Chaudhry et al. (2018), Riemannian Walk for Incremental Learning, section 3.3.
    """
    *earlier, final = accuracies
    falls = [max(row[task] for row in earlier[task:]) - final[task] for task in range(len(earlier))]
    return float(np.mean(falls))


@dataclasses.dataclass(frozen=True, eq=False)
class ClassCell(Cell):
    """A cell whose row also says, by class, how many test images there are and how many the student gets right."""

    whole: Task = dataclasses.field(kw_only=True)
    """The task of all classes. Each seed has its own order of them, so that seeds share none but its digests."""

    @property
    def record(self) -> dict[str, Any]:
        """That of a cell, with the digests of all classes."""
        return super().record | {"digests": self.whole.digests}

    def measure(self, run: Run) -> dict[str, Any]:
        """Adds `by_class`: [class id, images, hits] of every class of the set, after the last epoch; all's digests."""
        task, tests = self.task, self.task.test_set
        assert tests is not None  # or there would be no run
        rank, count = make_ranker(task.student, tests, task.normalisation), task.distilled.num_classes
        labels, right = tests.labels, rank(*task.evaluation_weights(run.state)) == 0
        images, hits = (np.bincount(chosen, minlength=count).tolist() for chosen in (labels, labels[right]))
        classes = getattr(task.distilled, "classes", None) or range(count)
        by_class = [list(each) for each in zip(classes, images, hits, strict=True)]
        return {**super().measure(run), "digests": self.whole.digests, "by_class": by_class}
