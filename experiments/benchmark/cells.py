"""The questions of the study of Fashion-MNIST, each as cells: a label `question`, and its own axes.

The headline needs what the search found; the smaller questions take AdamW at the rate that it found.
"""

import dataclasses
import functools
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gift_jax import GiftError
from gift_jax.models import Model
from gift_jax.optim import compared
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports.tables import name_on
from gift_jax.runtime.provenance import device, versions
from gift_jax.studies.cells import Cell, OnEpoch
from gift_jax.training.batch import make_prepare
from gift_jax.training.program import Program, init_state, make_data
from gift_jax.training.step import make_differentiate

from ..common.rate_views import chosen_rates, figure
from ..common.rates import at_rate, loss_changes
from ..common.reporting import Row, only
from ..common.students import parse_student
from .setup import DRAWN, MADE, FashionMNIST, Lab

SUBJECT = "gift"
RIVALS = 2  # losses beside GIFT that get as many seeds as it
MAIN, OFFICIAL = "rded", "adamw"
SEARCH_SEED = 1000  # the students of the search are none of those that are reported
CUSTOMARY_RATE, TUNED_RATE = "customary", "tuned"
WEIGHTS, SMOOTHINGS = (0.0, 0.03, 0.1, 0.3, 1.0), (0.0, 0.1, 0.3)
DEFAULT = (0.1, 0.1)  # weight and smoothing of GIFT


class Choice(NamedTuple):
    """What the search decided: the multiple of the customary rate by (loss, optimizer), and GIFT's rivals."""

    rates: Mapping[tuple[str, str], str]
    rivals: tuple[str, ...]


def choose(rows: Sequence[Row], config: FashionMNIST) -> Choice:
    """Rates by validation accuracy, and the losses whose mean over optimizers at these is highest but for GIFT's.

    Raises: GiftError if a pair of loss and optimizer was not searched.
    """
    found = [row for row in only(rows, question="search") if name_on(row, "loss") in config.losses]
    rates, order = validated(found)
    if missing := [(loss, name) for loss in config.losses for name in config.optimizers if (loss, name) not in rates]:
        raise GiftError(f"{config.out}: no rate was searched for {missing[0][0]} under {missing[0][1]}; run --stages "
                        "search first")  # fmt: skip
    return Choice(rates, tuple(loss for loss in order if loss != SUBJECT)[:RIVALS])


def validated(rows: Sequence[Row]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The best rate by (loss, optimizer), and the losses by their mean over optimizers at these, best first.

    A diverged student counts 0. Args: rows, of the search.
    """
    rates = chosen_rates(rows, 0.0, "optimizer", value="top1_last")
    best: dict[str, list[float]] = defaultdict(list)
    for (loss, name), rate in rates.items():
        own = only(rows, loss=loss, optimizer=name, rate=rate)
        best[loss].append(statistics.fmean(figure(row, 0.0) for row in own))
    return rates, sorted(best, key=lambda loss: -statistics.fmean(best[loss]))


def not_searched(config: FashionMNIST) -> Choice:
    """Stands for what is not known yet, to count cells: no rate is the customary one, the first losses are rivals."""
    largest = {(loss, name): f"{config.rates(name)[-1]:g}" for loss in config.losses for name in config.optimizers}
    return Choice(largest, tuple(loss for loss in config.losses if loss != SUBJECT)[:RIVALS])


class Bench(NamedTuple):
    """Options, what is trained with, and the choice of the search."""

    config: FashionMNIST
    lab: Lab
    choice: Choice

    def recipe(
        self, images: tuple[str, int], loss: str, optimizer: str, multiple: str, model: str, *, steps: int = 0,
        **changes: Any,
    ) -> Recipe:  # fmt: skip
        """GIFT's official recipe with this loss and optimizer, in so many steps (by default --steps)."""
        distilled = self.lab.sets[images]
        official, custom = make_recipe("gift", setting_of(distilled, model)), compared(optimizer)
        each = -(-len(distilled.labels) // official.resolve_batch_size(len(distilled.labels)))
        own = {
            "optimizer": at_rate(custom.optimizer, float(multiple)),
            "schedule": custom.schedule,
            "epochs": max((steps or self.config.steps) // each, 1),
            "evaluations": 1,
        }
        return dataclasses.replace(official, **{**own, **loss_changes(loss), **changes})

    def cells(
        self, labels: Mapping[str, str], seeds: int, *, images: str = MAIN, ipc: int = 0, loss: str,
        optimizer: str = OFFICIAL, multiple: str | None = None, student: Model | None = None, **changes: Any,
    ) -> list[Cell]:  # fmt: skip
        """One setting with so many seeds, at the tuned rate unless a multiple is given; random images are by seed."""
        model, found = student or self.lab.student, []
        rate = multiple or self.choice.rates[loss, optimizer]
        for seed in range(seeds):
            key = (f"{DRAWN}-{seed}" if images == DRAWN else images, ipc or self.config.ipc)
            recipe = self.recipe(key, loss, optimizer, rate, model.spec.name, **changes)
            parts = (recipe, model, self.lab.sets[key], self.lab.teacher, self.lab.test)
            found.append(Cell(labels, *parts, seed))
        return found


def search(bench: Bench) -> list[Cell]:
    """Every loss and optimizer at every rate, tested on held-out training images alone."""
    config, lab = bench.config, bench.lab
    cells = []
    for loss in config.losses:
        for name in config.optimizers:
            for rate in config.rates(name):
                labels = {"question": "search", "loss": loss, "optimizer": name, "rate": f"{rate:g}"}
                recipe = bench.recipe((MAIN, config.ipc), loss, name, f"{rate:g}", lab.student.spec.name)
                parts = (recipe, lab.student, lab.sets[MAIN, config.ipc], lab.teacher, lab.validation)
                cells.append(Cell(labels, *parts, SEARCH_SEED))
    return cells


def headline(bench: Bench) -> list[Cell]:
    """Every loss and optimizer at the customary and at the tuned rate."""
    config, cells = bench.config, []
    for loss in config.losses:
        contends = loss in (SUBJECT, *bench.choice.rivals)
        for name in config.optimizers:
            tuned = bench.choice.rates[loss, name]
            for view, rate in ((CUSTOMARY_RATE, "1"), (TUNED_RATE, tuned)):
                more = contends and rate == tuned  # where that is the customary rate, both views show the same students
                seeds = max(config.seeds, config.rival_seeds) if more else config.seeds
                labels = {"question": "headline", "loss": loss, "optimizer": name, "view": view}
                cells += bench.cells(labels, seeds, loss=loss, optimizer=name, multiple=rate)
    return cells


def sizes(bench: Bench) -> list[Cell]:
    """Images of each making and size under each loss: all losses at the main size, fewer at others."""
    config, cells = bench.config, []
    for ipc in config.sizes:
        for loss in config.losses if ipc == config.ipc else config.fewer_losses:
            for images in (*MADE, DRAWN):
                labels = {"question": "sizes", "ipc": str(ipc), "images": images, "loss": loss}
                cells += bench.cells(labels, config.other_seeds, images=images, ipc=ipc, loss=loss)
    return cells


def students(bench: Bench) -> list[Cell]:
    """Other architectures under the ConvNet teacher, the last ones in as few seeds as long trainings."""
    config, cells = bench.config, []
    for text in config.students:
        student = parse_student(text, bench.lab.teacher.info.spec)
        for loss in config.fewer_losses:
            labels = {"question": "students", "student": text, "loss": loss}
            slow = student.spec.name.startswith("resnet")
            seeds = config.long_seeds if slow else config.other_seeds
            cells += bench.cells(labels, seeds, loss=loss, student=student)
    return cells


def refinement(bench: Bench) -> list[Cell]:
    """GIFT's weight at its own smoothing, and its smoothing at its own weight."""
    pairs = [*((weight, DEFAULT[1]) for weight in WEIGHTS), *((DEFAULT[0], smoothing) for smoothing in SMOOTHINGS)]
    cells = []
    for weight, smoothing in dict.fromkeys(pairs):
        labels = {"question": "refinement", "weight": f"{weight:g}", "smoothing": f"{smoothing:g}"}
        named = (("weight", weight), ("smoothing", smoothing))
        # The default's cell is the headline's own.
        changes = {} if (weight, smoothing) == DEFAULT else {"loss_options": named}
        cells += bench.cells(labels, bench.config.other_seeds, loss=SUBJECT, **changes)
    return cells


def length(bench: Bench) -> list[Cell]:
    """Longer training under hard labels, GIFT and its first rival; at the largest size also on random images."""
    config, cells = bench.config, []
    soft = (*bench.choice.rivals[:1], SUBJECT)
    asked = [(MAIN, ipc, dict.fromkeys(("ce", *soft))) for ipc in config.sizes]
    for images, ipc, losses in [*asked, (DRAWN, max(config.sizes), dict.fromkeys(soft))]:
        for loss in (loss for loss in losses if loss in config.losses):
            labels = {"question": "length", "ipc": str(ipc), "images": images, "loss": loss}
            options = {"loss": loss, "steps": config.long_steps}
            cells += bench.cells(labels, config.long_seeds, images=images, ipc=ipc, **options)
    return cells


def augmentation(bench: Bench) -> list[Cell]:
    """The official augmentation, whose cells are the headline's, and none."""
    config, cells = bench.config, []
    for loss in config.fewer_losses:
        for name, changes in (("on", {}), ("off", {"augment": "none"})):
            labels = {"question": "augmentation", "augmentation": name, "loss": loss}
            cells += bench.cells(labels, config.other_seeds, loss=loss, **changes)
    return cells


@functools.lru_cache(maxsize=1)
def _differentiating(program: Program) -> Callable[..., Any]:
    return jax.jit(make_differentiate(program))


class GradientCell(Cell):
    """No training: the norm of the loss's gradient in all weights at the start, over the whole set at once."""

    def configuration(self) -> dict[str, Any]:
        """The cell's, and that a gradient is measured."""
        return {**super().configuration(), "measured": "gradient at the start"}

    def run(self, on_epoch: OnEpoch) -> dict[str, Any]:
        """Returns: a row with `gradient_norm`."""
        program, data = self.program, make_data(self.distilled, self.teacher)
        state, key = init_state(program, jax.random.key(self.seed)), jax.random.key(self.seed)
        everything = jnp.arange(len(self.distilled.labels))
        batch, dropout_key = make_prepare(program)(data, everything, key, state.step)
        gradients, *_ = _differentiating(program)(
            state.params, state.batch_stats, data.teacher_params, batch, dropout_key
        )
        on_epoch(self.epochs, 0.0)
        norm = float(optax.tree.norm(gradients))
        return {"seed": self.seed, "gradient_norm": norm, "device": device(), "versions": versions()}


def gradient(bench: Bench) -> list[Cell]:
    """The gradient at the start under each loss, without augmentation."""
    config, lab = bench.config, bench.lab
    cells, distilled = [], lab.sets[MAIN, config.ipc]
    changes = {"augment": "none", "batch_size": len(distilled.labels)}
    for loss in config.losses:
        recipe = bench.recipe((MAIN, config.ipc), loss, "sgd", "1", lab.student.spec.name, **changes)
        recipe = dataclasses.replace(recipe, epochs=1)
        labels = {"question": "gradient", "loss": loss}
        parts = (recipe, lab.student, distilled, lab.teacher, lab.test)
        cells += [GradientCell(labels, *parts, seed) for seed in range(config.seeds)]
    return cells


QUESTIONS: Mapping[str, Callable[[Bench], list[Cell]]] = MappingProxyType(
    {
        "search": search,
        "headline": headline,
        "sizes": sizes,
        "students": students,
        "refinement": refinement,
        "length": length,
        "augmentation": augmentation,
        "gradient": gradient,
    }
)
