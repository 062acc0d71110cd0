"""Our side: gift_jax's own epoch and training functions, as users call them."""

import dataclasses
import os
from typing import Any

import jax

from benchmarks.workloads import LEARNING_RATE, SEEDS, WEIGHT_DECAY, Workload, make_pixels
from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import ModelSpec, get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import compiler_options
from gift_jax.task import Task
from gift_jax.teachers.teacher import Teacher, TeacherInfo, Verification, make_teacher
from gift_jax.training.epochs import make_epoch
from gift_jax.training.program import init_state


class Ours:
    """One side of the comparison: epochs of steps, and whole evaluations. loss: a name in `LOSSES`."""

    def __init__(self, workload: Workload, loss: str = "gift", precision: str = "float32") -> None:
        self.workload, self.size = workload, workload.size(jax.default_backend())
        optimizer = Optimizer("adamw", LEARNING_RATE, WEIGHT_DECAY)
        epochs = self.size.epochs if workload.whole else 1000
        self.recipe = Recipe(
            loss=loss, optimizer=optimizer, epochs=epochs, batch_size=self.size.batch, precision=precision
        )
        self.student = get_model(ModelSpec(workload.model, workload.classes, workload.side, workload.channels))
        self.distilled, self.teacher = self._distilled(), self._teacher()
        self.task = Task(self.recipe, self.student, self.distilled, self.teacher)
        program = self.task.program
        self.data, self.steps = self.task.data("device"), make_epoch(program)
        self.state = init_state(program, jax.random.key(0), self.task.learning_rate)
        self.key, self.number = jax.random.key(1), 0

    def _distilled(self) -> DistilledSet:
        images, labels = make_pixels(self.workload, self.size.images, 0)
        return DistilledSet(images, labels, None, "raw", self.workload.dataset, "random", 10)

    def _teacher(self) -> Teacher:
        workload, verified = self.workload, Verification(0, 0.0, 0.0, 1.0)
        normalisation = get_dataset(workload.dataset).normalisation
        sizes = (workload.model, workload.dataset, workload.classes, workload.side, workload.channels)
        info = TeacherInfo(*sizes, {}, normalisation, "random", "0" * 64, verified, {})
        return make_teacher(info, *self.student.init(jax.random.key(100)))

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
        settings = {"loss": self.recipe.loss, "compute": self.recipe.precision, "threads": threads}
        return {**settings, **compiler_options(jax.default_backend())}
