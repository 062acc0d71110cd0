"""Learn classes in steps from distilled images, and measure accuracy and forgetting under each loss.

Question: which loss keeps accuracy best as classes are added to a memory of distilled images? (GIFT, ICLR 2025, claims
a benefit for continual learning; its figures are not known here, and no others are published for this setting.)
Command: `python -m experiments.continual_learning`; on real sets with the options of `experiments.evaluate`, such as
`--dataset cifar100 --model conv3 --method rded --epochs 1000 --steps 5 10 --data tfds`.
Time: 162 runs took 3 minutes on 2 of 4 CPU cores, with nothing compiled before.

The protocol is the lineage's (DSA; DM; Kim et al., 2022, whose `continual-learning` follows DM) but for the teacher,
of which the lineage has none. `PROTOCOL` of `views.py`, which the report shows, says what that changes. The teacher's
logits of classes that were not seen are left out (its last layer's columns), which makes its probabilities those given
that the class was seen; with all classes it would teach resemblances to classes that are still to come.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gift_jax import GiftError
from gift_jax.data.datasets import get_dataset
from gift_jax.evaluate import make_ranker
from gift_jax.recipes.recipe import official_batch_size
from gift_jax.runtime.options import Count, Losses
from gift_jax.studies.cells import Cell
from gift_jax.task import Task
from gift_jax.training.train import Run

from ..common.study import Materials, Method, Study, load_materials, run_study
from .subset import class_steps, restrict, restrict_evaluation, restrict_model, restrict_teacher
from .views import make_sections, stage_name

NAME = "continual_learning"


@dataclasses.dataclass(frozen=True)
class ContinualLearning(Study):
    """Losses x sequences of steps; a seed decides the order of classes and the student.

    Args:
        method: method of the set.
        losses: names of losses.
        steps: in how many steps the classes come.
    """

    out: Path = Path("runs/continual_learning")
    epochs: Count = 200
    method: Method = "rded"
    losses: Losses = ("gift", "cosine", "kl", "softce", "mse_ce", "ce")
    steps: tuple[Count, ...] = (5, 10)

    def __post_init__(self) -> None:
        super().__post_init__()
        classes = get_dataset(self.dataset).num_classes
        if not self.steps or min(self.steps) < 2 or max(self.steps) > classes:
            raise GiftError(f"--steps must be numbers from 2 to {classes}, the classes of {self.dataset}, such as 5 10")


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


def restrict_materials(materials: Materials, classes: tuple[int, ...]) -> Materials:
    """Everything with some classes only; without validation images, for nothing is chosen here."""
    teacher = None if materials.teacher is None else restrict_teacher(materials.teacher, classes)
    sets = {method: restrict(distilled, classes) for method, distilled in materials.sets.items()}
    tested = restrict_evaluation(materials.evaluation_set, classes)
    students = {method: restrict_model(student, classes) for method, student in materials.students.items()}
    return Materials(teacher, sets, tested, None, students, materials.live)


def even_batch_size(count: int) -> int:
    """At most the official batch size, in as many steps an epoch, but of equal size: one shape is compiled, not two."""
    return -(-count // -(-count // official_batch_size(count)))


def seen_classes(config: ContinualLearning, num_classes: int) -> list[tuple[int, str, tuple[int, ...]]]:
    """(seed, stage, classes seen) of every step with something to learn, by the number of classes."""
    stages = []
    for seed, count in itertools.product(config.seeds, config.steps):
        order = class_steps(num_classes, count, seed)
        for step in range(1, count + 1):
            seen = tuple(sorted(label for part in order[:step] for label in part))
            stages.append((seed, stage_name(step, count), seen))
    return sorted((stage for stage in stages if len(stage[2]) > 1), key=lambda stage: len(stage[2]))


def make_cells(config: ContinualLearning, materials: Materials) -> Iterator[Cell]:
    """Every stage under every loss; students of as many classes share a compilation."""
    stages = seen_classes(config, materials.sets[config.method].num_classes)
    parts = {seen: restrict_materials(materials, seen) for _, _, seen in stages}
    whole = next(materials.cells(config, {}, config.method)).task
    for loss, (seed, stage, seen) in itertools.product(config.losses, stages):
        part, distilled = parts[seen], parts[seen].sets[config.method]
        batch_size = even_batch_size(len(distilled.labels))
        recipe = part.recipe(config.method, config, loss=loss, batch_size=batch_size, evaluations=4)
        labels = {"loss": loss, "stage": stage}
        task = Task(recipe, part.student, distilled, part.teacher, part.evaluation_set)
        yield ClassCell(labels, task, seed, whole=whole)


def main(config: ContinualLearning) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)
