"""Our side: gift_jax's own epoch and training functions, as users call them."""

import dataclasses
import os
from typing import Any

import jax

from benchmarks.workloads import LEARNING_RATE, SEEDS, WEIGHT_DECAY, Size, Workload, make_pixels
from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import ModelSpec, get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import compiler_options
from gift_jax.task import Task
from gift_jax.teachers.teacher import TeacherInfo, make_teacher
from gift_jax.training.epochs import make_epoch
from gift_jax.training.program import init_state


def random_info(spec: ModelSpec, dataset: str) -> TeacherInfo:
    """What a teacher of random weights says of itself."""
    source = {"source_file": "random", "source_sha256": "0" * 64, "verification": None, "versions": {}}
    return TeacherInfo.of(spec, dataset=dataset, normalisation=get_dataset(dataset).normalisation, **source)


def make_task(workload: Workload, size: Size, loss: str = "gift", precision: str = "float32") -> Task:
    """Training as users start it, of random pixels under a random teacher. loss: a name in `LOSSES`."""
    recipe = Recipe(
        loss=loss,
        optimizer=Optimizer("adamw", LEARNING_RATE, WEIGHT_DECAY),
        epochs=size.epochs if workload.whole else 1000,
        batch_size=size.batch,
        precision=precision,
    )
    student = get_model(ModelSpec(workload.model, workload.classes, workload.side, workload.channels))
    pixels = make_pixels(workload, size.images, 0)
    distilled = DistilledSet(*pixels, None, "raw", workload.dataset, "random", 10)
    info = random_info(student.spec, workload.dataset)
    # Hard labels ask no teacher; what a step with one costs more is what the teacher does.
    teacher = None if loss == "ce" else make_teacher(info, *student.init(jax.random.key(100)))
    return Task(recipe, student, distilled, teacher)


class Ours:
    """One side of the comparison: epochs of steps, and whole evaluations."""

    def __init__(self, workload: Workload, loss: str = "gift", precision: str = "float32") -> None:
        self.workload, self.size = workload, workload.size(jax.default_backend())
        self.task = make_task(workload, self.size, loss, precision)
        self.data, self.steps = self.task.data("device"), make_epoch(self.task.program)
        self.state = init_state(self.task.program, jax.random.key(0), self.task.learning_rate)
        self.key, self.number = jax.random.key(1), 0

    def epoch(self) -> float:
        """Train for one epoch. Returns: the mean loss."""
        self.state, metrics = self.steps(self.state, self.data, self.key, self.number)
        self.number += 1
        jax.block_until_ready(self.state)
        return float(metrics.loss.mean())

    def whole(self) -> None:
        """Train and evaluate a student a seed."""
        tests = EvaluationSet(*make_pixels(self.workload, self.size.test_images, 1), self.workload.dataset)
        dataclasses.replace(self.task, test_set=tests).train(SEEDS)

    def describe(self) -> dict[str, Any]:
        """How this side runs."""
        threads = os.cpu_count()  # as many as XLA:CPU starts
        recipe = self.task.recipe
        settings = {"loss": recipe.loss, "compute": recipe.precision, "threads": threads}
        return {**settings, **compiler_options(jax.default_backend())}
