"""The questions of the study of a benchmark, each as cells: a label `question`, and its own axes."""

import dataclasses
import functools
import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import Model
from gift_jax.optim import compared
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.reports.summary import SUBJECT
from gift_jax.reports.tables import figure, name_on
from gift_jax.runtime.provenance import device, versions
from gift_jax.studies.cells import Cell, OnEpoch
from gift_jax.task import Task
from gift_jax.training.batch import make_prepare
from gift_jax.training.program import Program, init_state
from gift_jax.training.step import make_differentiate

from ..common.inputs import make_student
from ..common.rate_views import chosen_rates
from ..common.rates import at_rate, loss_changes
from ..common.reporting import Row, only
from ..common.sources import convert_once
from ..common.students import parse_student
from .setup import DRAWN, MADE, MAIN, Benchmark, Resources

OFFICIAL = "adamw"
RIVALS = 2  # losses beside GIFT that get as many seeds as it
SEARCH_SEED = 1000  # the students of the search are none of those that are reported
DEFAULT_RATE, TUNED_RATE = "customary", "tuned"  # as rows are labelled
WEIGHTS, SMOOTHINGS = (0.0, 0.03, 0.1, 0.3, 1.0), (0.0, 0.1, 0.3)
DEFAULT = (0.1, 0.1)  # weight and smoothing of GIFT


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

    def by_recipe(
        self, name: str, labels: Mapping[str, str], seeds: int, distilled: DistilledSet, student: Model,
        teacher: Teacher | None, **changes: Any,
    ) -> Iterator[Cell]:  # fmt: skip
        """Students of a set by a named recipe, tested once, at the end. Args: changes, further ones to the recipe."""
        recipe = make_recipe(name, setting_of(distilled, student.spec.name))
        recipe = dataclasses.replace(recipe, evaluations=1, **changes)
        task = Task(recipe, student, distilled, teacher, self.resources.test)
        yield from (Cell(labels, task, seed) for seed in range(seeds))


def choose(rows: Sequence[Row], config: Benchmark) -> Choice:
    """Rates and rivals by validation accuracy. Raises: GiftError if a pair of loss and optimizer was not searched."""
    found = [row for row in only(rows, question="search") if name_on(row, "loss") in config.losses]
    rates, order = rates_on_validation(found)
    if missing := [(loss, name) for loss in config.losses for name in config.optimizers if (loss, name) not in rates]:
        raise GiftError(f"{config.out}: no rate was searched for {missing[0][0]} under {missing[0][1]}; run --stages "
                        "search first")  # fmt: skip
    return Choice(rates, tuple(loss for loss in order if loss != SUBJECT)[:RIVALS])


def rates_on_validation(rows: Sequence[Row]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The best rates by (loss, optimizer), and losses by their mean at these, best first; diverged students count 0."""
    rates = chosen_rates(rows, 0.0, "optimizer", value="top1_last")
    best: dict[str, list[float]] = defaultdict(list)
    for (loss, name), rate in rates.items():
        own = only(rows, loss=loss, optimizer=name, rate=rate)
        best[loss].append(statistics.fmean(figure(row, 0.0) for row in own))
    return rates, sorted(best, key=lambda loss: -statistics.fmean(best[loss]))


def not_searched(config: Benchmark) -> Choice:
    """Stands for what is not known yet, to count cells: no rate is the default one, the first losses are rivals."""
    largest = {(loss, name): f"{config.rates(name)[-1]:g}" for loss in config.losses for name in config.optimizers}
    return Choice(largest, tuple(loss for loss in config.losses if loss != SUBJECT)[:RIVALS])


def needs_search(question: str, config: Benchmark) -> bool:
    """Whether a question's students have rates, or its losses are rivals, that the search chose."""
    tuned = config.others_at == "tuned" and question in ("sizes", "students", "refinement", "augmentation")
    return tuned or question in ("headline", "length")


def rded(inputs: StudyInputs) -> Iterator[Cell]:
    """RDED's own recipe on its sets, under the teacher's normalisation: a set, its labels and its student share one."""
    resources = inputs.resources
    for ipc in inputs.config.sizes:
        parts = (resources.find_set(MAIN, ipc), resources.student, resources.teacher)
        labels = {"question": "rded", "ipc": str(ipc)}
        yield from inputs.by_recipe("rded", labels, inputs.config.other_seeds, *parts, normalisation=None)


def dc(inputs: StudyInputs) -> Iterator[Cell]:
    """DC's published sets with hard labels under DC's recipe, no teacher."""
    for ipc, distilled in dc_sets(inputs.config):
        student = make_student(inputs.config.model, "dc", distilled)
        labels = {"question": "dc", "ipc": str(ipc)}
        yield from inputs.by_recipe("dc", labels, inputs.config.num_seeds, distilled, student, None)


def relabelled(inputs: StudyInputs) -> Iterator[Cell]:
    """The same sets and students under GIFT's recipe, with hard labels and with the teacher's."""
    for ipc, distilled in dc_sets(inputs.config):
        student = make_student(inputs.config.model, "dc", distilled)
        for loss, teacher in (("ce", None), (SUBJECT, inputs.resources.teacher)):
            labels, seeds = {"question": "relabelled", "ipc": str(ipc), "loss": loss}, inputs.config.other_seeds
            yield from inputs.by_recipe("gift", labels, seeds, distilled, student, teacher, loss=loss)


def other_teacher(inputs: StudyInputs) -> Iterator[Cell]:
    """Soft losses on the main set under a second teacher, whose normalisation the student then has."""
    config, resources = inputs.config, inputs.resources
    if config.other_teacher is None:
        return
    teacher = load_teacher(config.other_teacher)
    parts = (resources.find_set(MAIN, config.ipc), resources.student, teacher)
    for loss in ("kl", "softce", SUBJECT):
        labels = {"question": "other_teacher", "teacher": teacher.info.architecture, "loss": loss}
        yield from inputs.by_recipe("gift", labels, config.other_seeds, *parts, loss=loss)


def dc_sets(config: Benchmark) -> Iterator[tuple[int, DistilledSet]]:
    """DC's published sets of the sizes that are asked for, converted, with their images a class. Raises: GiftError."""
    if config.published_sets is None:
        return
    name = config.dataset.replace("-", "").lower()
    for ipc in config.sizes:
        options = ("--method", "dc", "--dataset", config.dataset, "--ipc", str(ipc))
        for path in sorted(config.published_sets.glob(f"res_DC_*_ConvNet_{ipc}ipc.pt")):
            if path.name.split("_")[2].lower() == name:
                distilled = load_distilled(convert_once("distilled", path, options, "set.safetensors"))
                if distilled.ipc != ipc:
                    raise GiftError(f"{path}: holds {distilled.ipc} images a class, not {ipc} as its name says")
                yield ipc, distilled


def search(inputs: StudyInputs) -> Iterator[Cell]:
    """Every loss and optimizer at every rate, tested on held-out training images alone."""
    config, validation = inputs.config, inputs.resources.validation
    for loss, name in itertools.product(config.losses, config.optimizers):
        for rate in config.rates(name):
            labels = {"loss": loss, "optimizer": name, "rate": f"{rate:g}"}
            yield from inputs.cells("search", labels, (SEARCH_SEED,), tested=validation)


def primary(inputs: StudyInputs) -> Iterator[Cell]:
    """GIFT and its rival at the default rate, seed by seed, so that a run that was cut off has pairs."""
    for seed, loss in itertools.product(range(inputs.config.rival_seeds), (inputs.config.rival, SUBJECT)):
        yield from inputs.cells("primary", {"loss": loss}, (seed,), multiple="1")


def losses(inputs: StudyInputs) -> Iterator[Cell]:
    """Every loss at each size at the default rate, seed by seed; above the main size fewer, and fewer seeds."""
    config = inputs.config
    for ipc in config.sizes:
        larger = ipc > config.ipc
        names = config.fewer_losses if larger else config.all_losses
        seeds = config.long_seeds if larger else config.num_seeds
        for seed, loss in itertools.product(range(seeds), names):
            yield from inputs.cells("losses", {"ipc": str(ipc), "loss": loss}, (seed,), multiple="1")


def epochs(inputs: StudyInputs) -> Iterator[Cell]:
    """GIFT and soft cross-entropy after shorter and longer trainings, at the default rate."""
    config = inputs.config
    for length, loss in itertools.product(config.lengths, ("softce", SUBJECT)):
        labels = {"epochs": str(length), "loss": loss}
        yield from inputs.cells("epochs", labels, range(config.long_seeds), multiple="1", epochs=length)


def headline(inputs: StudyInputs) -> Iterator[Cell]:
    """Every loss and optimizer at the default and at the tuned rate."""
    config = inputs.config
    for loss, name in itertools.product(config.losses, config.optimizers):
        contends, tuned = loss in (SUBJECT, *inputs.choice.rivals), inputs.choice.rates[loss, name]
        for view, rate in ((DEFAULT_RATE, "1"), (TUNED_RATE, tuned)):
            more = contends and rate == tuned  # where that is the default rate, both views show the same students
            seeds = range(max(config.num_seeds, config.rival_seeds) if more else config.num_seeds)
            labels = {"loss": loss, "optimizer": name, "view": view}
            yield from inputs.cells("headline", labels, seeds, multiple=rate)


def sizes(inputs: StudyInputs) -> Iterator[Cell]:
    """Images of each making and size under each loss: all losses at the main size, fewer at others."""
    config = inputs.config
    for ipc in config.sizes:
        losses = config.losses if ipc == config.ipc else config.fewer_losses
        for loss, images in itertools.product(losses, (*MADE, DRAWN)):
            labels = {"ipc": str(ipc), "images": images, "loss": loss}
            yield from inputs.cells("sizes", labels, range(config.other_seeds))


def students(inputs: StudyInputs) -> Iterator[Cell]:
    """Other architectures under the ConvNet teacher, ResNets in as few seeds as long trainings."""
    config = inputs.config
    for text in config.students:
        student = parse_student(text, inputs.resources.teacher.info.spec)
        seeds = config.long_seeds if student.spec.name.startswith("resnet") else config.other_seeds
        for loss in config.fewer_losses:
            yield from inputs.cells("students", {"student": text, "loss": loss}, range(seeds), student=student)


def refinement(inputs: StudyInputs) -> Iterator[Cell]:
    """GIFT's weight at its own smoothing, and its smoothing at its own weight."""
    pairs = [*((weight, DEFAULT[1]) for weight in WEIGHTS), *((DEFAULT[0], smoothing) for smoothing in SMOOTHINGS)]
    for weight, smoothing in dict.fromkeys(pairs):
        labels = {"weight": f"{weight:g}", "smoothing": f"{smoothing:g}"}
        named = (("weight", weight), ("smoothing", smoothing))
        # The default's cell is the headline's own.
        changes: dict[str, Any] = {} if (weight, smoothing) == DEFAULT else {"loss_options": named}
        yield from inputs.cells("refinement", labels, range(inputs.config.other_seeds), **changes)


def length(inputs: StudyInputs) -> Iterator[Cell]:
    """Longer training under hard labels, GIFT and its first rival; at the largest size also on random images."""
    config = inputs.config
    soft = (*inputs.choice.rivals[:1], SUBJECT)
    asked = [(MAIN, ipc, dict.fromkeys(("ce", *soft))) for ipc in config.sizes]
    for images, ipc, losses in [*asked, (DRAWN, max(config.sizes), dict.fromkeys(soft))]:
        for loss in (loss for loss in losses if loss in config.losses):
            labels = {"ipc": str(ipc), "images": images, "loss": loss}
            yield from inputs.cells("length", labels, range(config.long_seeds), steps=config.long_steps)


def augmentation(inputs: StudyInputs) -> Iterator[Cell]:
    """The official augmentation, whose cells are the headline's, and none."""
    config, kinds = inputs.config, {"on": {}, "off": {"augment": "none"}}
    for loss, (name, changes) in itertools.product(config.fewer_losses, kinds.items()):
        labels = {"augmentation": name, "loss": loss}
        yield from inputs.cells("augmentation", labels, range(config.other_seeds), **changes)


@functools.lru_cache(maxsize=1)
def _differentiating(program: Program) -> Callable[..., Any]:
    return jax.jit(make_differentiate(program))


class GradientCell(Cell):
    """No training: the norm of the loss's gradient in all weights at the start, over the whole set at once."""

    def identity(self) -> dict[str, Any]:
        """The cell's, and that a gradient is measured."""
        return {**super().identity(), "measured": "gradient at the start"}

    def run(self, on_epoch: OnEpoch) -> dict[str, Any]:
        """Returns: a row with `gradient_norm`."""
        program, data = self.program, self.task.data("device")
        key = jax.random.key(self.seed)
        state = init_state(program, key, self.task.learning_rate)
        everything = jnp.arange(program.num_images)
        batch, dropout_key = make_prepare(program)(data, everything, key, state.step)
        weights = (state.params, state.batch_stats, data.teacher_params)
        gradients, *_ = _differentiating(program)(*weights, batch, dropout_key)
        on_epoch(self.epochs, 0.0)
        norm = float(optax.tree.norm(gradients))
        return {"seed": self.seed, "gradient_norm": norm, "device": device(), "versions": versions()}


def gradient(inputs: StudyInputs) -> Iterator[Cell]:
    """The gradient at the start under each loss, without augmentation."""
    config, count = inputs.config, len(inputs.resources.find_set(MAIN, inputs.config.ipc).labels)
    changes = {"optimizer": "sgd", "multiple": "1", "augment": "none", "batch_size": count, "epochs": 1}
    for loss in config.losses:
        yield from inputs.cells("gradient", {"loss": loss}, range(config.num_seeds), kind=GradientCell, **changes)


_QUESTIONS = (
    *(rded, dc, relabelled, primary, losses, epochs, search, headline, sizes, students, other_teacher),
    *(refinement, length, augmentation, gradient),
)
QUESTIONS: Mapping[str, Callable[[StudyInputs], Iterator[Cell]]] = {make.__name__: make for make in _QUESTIONS}
