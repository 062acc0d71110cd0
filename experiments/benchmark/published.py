"""Figures that others published, reproduced: RDED's recipe, DC's own sets, and a second teacher.

Sources: RDED (CVPR 2024), Table 2; of DC's sets what their owner measured and saved in them (`accs_all_exps`;
github.com/Distill-Generalization-Group/Distill-Generalization, folder result). All on CIFAR-10's original pixels.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gift_jax import DistilledSet, GiftError, load_distilled, load_teacher
from gift_jax.models import Model
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.recipes.recipe import Recipe
from gift_jax.studies.cells import Cell
from gift_jax.task import Task

from ..common.inputs import make_student
from ..common.sources import convert_once
from .inputs import SUBJECT, StudyInputs
from .setup import MAIN, Benchmark


class Published(NamedTuple):
    """A figure in percent with its standard deviation over n runs, where these are told, and its source."""

    mean: float
    std: float | None
    n: int | None
    source: str

    def __str__(self) -> str:
        return f"{self.mean:g}" + (f" ± {self.std:g}" if self.std else "") + (f" (n = {self.n})" if self.n else "")


RDED_TABLE, DC_FILE = "RDED, Table 2", "the set's file"
TEACHERS: Mapping[tuple[str, str], Published] = {("cifar10", "conv3"): Published(82.24, None, None, "GIFT's README")}
"""By dataset and architecture."""
PUBLISHED: Mapping[str, Mapping[tuple[str, int], Published]] = {
    "cifar10": {
        ("rded", 1): Published(23.5, 0.3, None, RDED_TABLE),
        ("rded", 10): Published(50.2, 0.3, None, RDED_TABLE),
        ("rded", 50): Published(68.4, 0.1, None, RDED_TABLE),
        ("dc", 1): Published(26.46, 0.71, 10, DC_FILE),
        ("dc", 10): Published(42.20, 0.43, 10, DC_FILE),
    }
}
"""By dataset, question and images a class."""


def once(name: str, distilled: DistilledSet, student: Model, **changes: Any) -> Recipe:
    """A named recipe whose students are tested once, at the end. Args: changes, further ones to the recipe."""
    recipe = make_recipe(name, setting_of(distilled, student.spec.name))
    return dataclasses.replace(recipe, evaluations=1, **changes)


def rded(inputs: StudyInputs) -> Iterator[Cell]:
    """RDED's own recipe on its sets, under the teacher's normalisation: a set, its labels and its student share one."""
    for ipc in inputs.config.sizes:
        distilled, student = inputs.resources.find_set(MAIN, ipc), inputs.resources.student
        recipe = once("rded", distilled, student, normalisation=None)
        task = Task(recipe, student, distilled, inputs.resources.teacher, inputs.resources.test)
        for seed in range(inputs.config.other_seeds):
            yield Cell({"question": "rded", "ipc": str(ipc)}, task, seed)


def dc(inputs: StudyInputs) -> Iterator[Cell]:
    """DC's published sets with hard labels under DC's recipe, no teacher."""
    for ipc, distilled in dc_sets(inputs.config):
        student = make_student(inputs.config.model, "dc", distilled)
        recipe = once("dc", distilled, student)
        task = Task(recipe, student, distilled, None, inputs.resources.test)
        for seed in range(inputs.config.num_seeds):
            yield Cell({"question": "dc", "ipc": str(ipc)}, task, seed)


def relabelled(inputs: StudyInputs) -> Iterator[Cell]:
    """The same sets and students under GIFT's recipe, with hard labels and with the teacher's."""
    for ipc, distilled in dc_sets(inputs.config):
        student = make_student(inputs.config.model, "dc", distilled)
        for loss, teacher in (("ce", None), (SUBJECT, inputs.resources.teacher)):
            recipe = once("gift", distilled, student, loss=loss)
            task = Task(recipe, student, distilled, teacher, inputs.resources.test)
            for seed in range(inputs.config.other_seeds):
                yield Cell({"question": "relabelled", "ipc": str(ipc), "loss": loss}, task, seed)


def other_teacher(inputs: StudyInputs) -> Iterator[Cell]:
    """Soft losses on the main set under a second teacher, whose normalisation the student then has."""
    config = inputs.config
    if config.other_teacher is None:
        return
    teacher, distilled = load_teacher(config.other_teacher), inputs.resources.find_set(MAIN, config.ipc)
    student = inputs.resources.student
    for loss in ("kl", "softce", SUBJECT):
        recipe = once("gift", distilled, student, loss=loss)
        task = Task(recipe, student, distilled, teacher, inputs.resources.test)
        for seed in range(config.other_seeds):
            yield Cell({"question": "other_teacher", "teacher": teacher.info.architecture, "loss": loss}, task, seed)


def dc_sets(config: Benchmark) -> Iterator[tuple[int, DistilledSet]]:
    """DC's published sets of the sizes that are asked for, converted, with their images a class. Raises: GiftError."""
    if config.published_sets is None:
        return
    name = config.dataset.replace("-", "").lower()
    for ipc in config.sizes:
        for path in sorted(config.published_sets.glob(f"res_DC_*_ConvNet_{ipc}ipc.pt")):
            if path.name.split("_")[2].lower() == name:
                yield ipc, _converted(path, config.dataset, ipc)


def _converted(path: Path, dataset: str, ipc: int) -> DistilledSet:
    options = ("--method", "dc", "--dataset", dataset, "--ipc", str(ipc))
    distilled = load_distilled(convert_once("distilled", path, options, "set.safetensors"))
    if distilled.ipc != ipc:
        raise GiftError(f"{path}: holds {distilled.ipc} images a class, not {ipc} as its name says")
    return distilled
