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
from gift_jax.teachers.teacher import TeacherInfo, Verification, make_teacher
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
        student = get_model(ModelSpec(workload.model, workload.classes, workload.side, workload.channels))
        distilled = DistilledSet(
            *make_pixels(workload, self.size.images, 0), None, "raw", workload.dataset, "random", 10
        )
        sizes = (workload.model, workload.dataset, workload.classes, workload.side, workload.channels)
        normalisation, verified = get_dataset(workload.dataset).normalisation, Verification(0, 0.0, 0.0, 1.0)
        info = TeacherInfo(*sizes, {}, normalisation, "random", "0" * 64, verified, {})
        teacher = make_teacher(info, *student.init(jax.random.key(100)))
        self.task = Task(self.recipe, student, distilled, teacher)
        program = self.task.program
        self.data, self.steps = self.task.data("device"), make_epoch(program)
        self.state = init_state(program, jax.random.key(0), self.task.learning_rate)
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
        settings = {"loss": self.recipe.loss, "compute": self.recipe.precision, "threads": threads}
        return {**settings, **compiler_options(jax.default_backend())}
