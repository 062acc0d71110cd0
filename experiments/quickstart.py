"""Run GIFT from end to end on real handwritten digits, in about a minute.

Question: how does the loss decide which optimizers can train a student on a distilled set? (GIFT, ICLR 2025)
Command: `python -m experiments.quickstart`, or `make demo`.
Hardware: 2 CPU cores, 58 to 69 s with nothing compiled before (n = 3); no download (scikit-learn's 1,797 real digits).

A ConvNet teacher is trained in PyTorch, converted and verified; RDED makes a set with it; students are trained with
every loss and optimizer. Each learning rate is a standard default, fixed beforehand; test images choose nothing.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from gift_jax import DistilledSet, Teacher, rded
from gift_jax.data.digits import load_split
from gift_jax.data.distilled import save_new_distilled
from gift_jax.data.evaluation import load_digits_test
from gift_jax.models import get_model
from gift_jax.optim import compared
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.reports.page import Section
from gift_jax.runtime import cli
from gift_jax.runtime.devices import announce
from gift_jax.runtime.options import Alias, Count, check_numbers
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid import run_grid
from gift_jax.studies.results import check_directory
from gift_jax.task import Task

from .common.digits_setup import at_once, example_teacher
from .common.reporting import Row, optimizer_settings, two_axes
from .common.set_making import CROPS
from .common.study import check_failures, report, save_sheets

LOSSES = ("kl", "softce", "mse_ce", "cosine", "gift")
OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """Losses x optimizers on a distilled set of scikit-learn's digits.

    Args:
        out: directory of results.jsonl, report.html, report.md, the teacher and the set.
        ipc: images a class.
        num_seeds: students a cell.
        epochs: of each student.
    """

    out: Path = Path("runs/quickstart")
    ipc: Count = 10
    num_seeds: Annotated[Count, Alias("seeds")] = 3
    epochs: Count = 200

    def __post_init__(self) -> None:
        check_numbers(self)


def distill(config: Quickstart, teacher: Teacher) -> DistilledSet:
    """Make the RDED set from the training digits alone."""
    split = load_split()
    distilled = rded.synthesize(split.train_images, split.train_labels, teacher, ipc=config.ipc, settings=CROPS)
    save_new_distilled(config.out / "rded.safetensors", distilled)
    print(f"RDED: {len(distilled.labels)} images from {len(split.train_labels)}, {config.out}/rded.safetensors\n")
    return distilled


def train_students(config: Quickstart, teacher: Teacher, distilled: DistilledSet) -> list[dict]:
    """Train a student for each loss, optimizer and seed that is not in results.jsonl yet; append each to it."""
    # The student is the teacher's architecture, as in the paper's main table.
    student, test = get_model(teacher.info.spec), load_digits_test()
    official = make_recipe("gift", setting_of(distilled, student.spec.name))
    cells = []
    for loss, name in itertools.product(LOSSES, OPTIMIZERS):
        recipe = dataclasses.replace(official, loss=loss, optimizer=compared(name).optimizer, epochs=config.epochs)
        task = Task(recipe, student, distilled, teacher, test)
        cells += [Cell({"loss": loss, "optimizer": name}, task, seed) for seed in range(config.num_seeds)]
    return run_grid(cells, config.out, experiment="quickstart", jobs=at_once())


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The sections of a study of losses and optimizers, and the optimizers' settings."""
    return [*two_axes(rows, "loss", "optimizer"), optimizer_settings(rows)]


def main(config: Quickstart) -> None:
    """Run the whole path: teacher, conversion, distillation, students, report."""
    check_directory(config.out)
    announce()
    teacher = example_teacher(config.out)
    distilled = distill(config, teacher)
    results = train_students(config, teacher, distilled)
    save_sheets(config.out, {"rded": distilled}, teacher, load_digits_test().class_names)
    report(config.out, "Losses and optimizers on a distilled set of digits", "quickstart", make_sections, results)
    check_failures(results)


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.quickstart")
