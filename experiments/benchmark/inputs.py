"""What the cells of a question are made with: options, teacher, sets, and what the search chose."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import Model
from gift_jax.optim import compared
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.studies.cells import Cell
from gift_jax.task import Task

from ..common.rates import at_rate, loss_changes
from .setup import DRAWN, MAIN, Benchmark, Resources

SUBJECT, OFFICIAL = "gift", "adamw"


class Choice(NamedTuple):
    """What the search decided: the multiple of the default rate by (loss, optimizer), and GIFT's rivals."""

    rates: Mapping[tuple[str, str], str]
    rivals: tuple[str, ...]


class StudyInputs(NamedTuple):
    """Options, what is trained with, and the choice of the search."""

    config: Benchmark
    resources: Resources
    choice: Choice

    def cells(
        self, question: str, labels: Mapping[str, str], seeds: Iterable[int], *, optimizer: str = OFFICIAL,
        multiple: str | None = None, steps: int | None = None, student: Model | None = None,
        tested: EvaluationSet | None = None, kind: type[Cell] = Cell, **changes: Any,
    ) -> Iterator[Cell]:  # fmt: skip
        """One setting of a question with each seed, under GIFT's official recipe; random images are by seed.

        Args: labels, by which loss, images, images a class, optimizer and rate go if they are among them; multiple, of
        the default rate, if not that of --others-at; steps, in place of --steps; student, if not the teacher's
        architecture; tested, images in place of the test images; changes, to the recipe.
        """
        loss, images = labels.get("loss", SUBJECT), labels.get("images", MAIN)
        optimizer, ipc = labels.get("optimizer", optimizer), int(labels.get("ipc", self.config.ipc))
        rate = multiple or labels.get("rate")
        if rate is None:
            rate = self.choice.rates[loss, optimizer] if self.config.others_at == "tuned" else "1"
        model, settings = student or self.resources.student, compared(optimizer)
        for seed in seeds:
            distilled = self.resources.find_set(f"{DRAWN}-{seed}" if images == DRAWN else images, ipc)
            official, count = make_recipe("gift", setting_of(distilled, model.spec.name)), len(distilled.labels)
            own = {
                "optimizer": at_rate(settings.optimizer, float(rate)),
                "schedule": settings.schedule,
                "evaluations": 1,
            }
            if wanted := steps or self.config.steps:
                own["epochs"] = max(wanted // -(-count // official.resolve_batch_size(count)), 1)
            recipe = dataclasses.replace(official, **{**own, **loss_changes(loss), **changes})
            task = Task(recipe, model, distilled, self.resources.teacher, tested or self.resources.test)
            yield kind({"question": question, **labels}, task, seed)
