"""Figures that others published, reproduced: RDED's recipe, DC's own sets, and a second teacher.

Sources: RDED (CVPR 2024), Table 2; of DC's sets what their owner measured and saved in them (`accs_all_exps`;
github.com/Distill-Generalization-Group/Distill-Generalization, folder result). All on CIFAR-10's original pixels.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher
from gift_jax.models import Model
from gift_jax.recipes import make_recipe, setting_of
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


def once(
    inputs: StudyInputs, name: str, distilled: DistilledSet, student: Model, teacher: Teacher | None, **changes: Any
) -> Task:
    """Training by a named recipe, tested once, at the end. Args: changes, further ones to the recipe."""
    recipe = make_recipe(name, setting_of(distilled, student.spec.name))
    recipe = dataclasses.replace(recipe, evaluations=1, **changes)
    return Task(recipe, student, distilled, teacher, inputs.resources.test)


def rded(inputs: StudyInputs) -> Iterator[Cell]:
    """RDED's own recipe on its sets, under the teacher's normalisation: a set, its labels and its student share one."""
    resources = inputs.resources
    for ipc in inputs.config.sizes:
        parts = (resources.find_set(MAIN, ipc), resources.student, resources.teacher)
        task, labels = once(inputs, "rded", *parts, normalisation=None), {"question": "rded", "ipc": str(ipc)}
        yield from (Cell(labels, task, seed) for seed in range(inputs.config.other_seeds))


def dc(inputs: StudyInputs) -> Iterator[Cell]:
    """DC's published sets with hard labels under DC's recipe, no teacher."""
    for ipc, distilled in dc_sets(inputs.config):
        task = once(inputs, "dc", distilled, make_student(inputs.config.model, "dc", distilled), None)
        yield from (Cell({"question": "dc", "ipc": str(ipc)}, task, seed) for seed in range(inputs.config.num_seeds))


def relabelled(inputs: StudyInputs) -> Iterator[Cell]:
    """The same sets and students under GIFT's recipe, with hard labels and with the teacher's."""
    for ipc, distilled in dc_sets(inputs.config):
        student = make_student(inputs.config.model, "dc", distilled)
        for loss, teacher in (("ce", None), (SUBJECT, inputs.resources.teacher)):
            task = once(inputs, "gift", distilled, student, teacher, loss=loss)
            labels = {"question": "relabelled", "ipc": str(ipc), "loss": loss}
            yield from (Cell(labels, task, seed) for seed in range(inputs.config.other_seeds))


def other_teacher(inputs: StudyInputs) -> Iterator[Cell]:
    """Soft losses on the main set under a second teacher, whose normalisation the student then has."""
    config, resources = inputs.config, inputs.resources
    if config.other_teacher is None:
        return
    teacher = load_teacher(config.other_teacher)
    for loss in ("kl", "softce", SUBJECT):
        parts = (resources.find_set(MAIN, config.ipc), resources.student, teacher)
        task = once(inputs, "gift", *parts, loss=loss)
        labels = {"question": "other_teacher", "teacher": teacher.info.architecture, "loss": loss}
        yield from (Cell(labels, task, seed) for seed in range(config.other_seeds))


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
