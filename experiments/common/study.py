"""What the studies share: options, the pieces that are trained, and the way from cells to a report."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import rich
from rich.table import Table

from gift_jax import DistilledSet, GiftError, Teacher
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import EvaluationSet, load_records
from gift_jax.data.transforms import make_transform
from gift_jax.models import Model, get_model
from gift_jax.readers.records import decoded
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports.page import Section
from gift_jax.reports.sheet import contact_sheet
from gift_jax.runtime.devices import announce
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error
from gift_jax.runtime.options import Choices, Dataset, ModelName
from gift_jax.studies import grid, grid_plan
from gift_jax.studies.cells import Cell
from gift_jax.training.timing import duration

from ..evaluate import Evaluate, load_parts
from . import sources
from .digits_setup import at_once, load_digits
from .reporting import Row, write_report

Method = Annotated[str, Choices(f"{sources.__name__}:SETS", ("random", "herding", "kmeans", "medoids"))]
VALIDATION_IMAGES = 5000  # at most, of the real training images


@dataclasses.dataclass(frozen=True)
class Study:
    """Options of every study.

    Args:
        out: directory of results, report and pictures; what is finished there is not run again.
        dataset: the digits need no files; others are found as `experiments.evaluate` finds them.
        model: architecture of the teacher, which the sets were made with.
        ipc: images per class.
        seeds: students per cell.
        epochs: of each student.
        distilled: distilled sets, as a file, a release, or a directory in the official layout.
        teacher: a converted teacher, a checkpoint, or a directory of them.
        data: test images, as a directory of class folders, `tfds` or `tfds:DIR`.
        train_data: real training images, to choose settings on, and for whitened (DATM) sets.
        class_order: file with a class folder per line, in the order of class ids.
        shard: i/n runs part i of n, for one of several machines or jobs.
        jobs: students trained at once; by default 3 for the digits on a CPU, else 1.
        dry_run: list the cells and how long they take, and stop.
        retry_failed: run cells again that failed before.
        tensorboard: write losses and accuracies to out/tensorboard.
    """

    out: Path = Path("runs/study")
    dataset: Dataset = "digits"
    model: ModelName = "conv2"
    ipc: int = 10
    seeds: int = 3
    epochs: int = 100
    distilled: Path = Path("syn_data")
    teacher: Path = Path("data/pretrain_models")
    data: str | None = None
    train_data: str | None = None
    class_order: Path | None = None
    shard: str = "1/1"
    jobs: int | None = None
    dry_run: bool = False
    retry_failed: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for option in ("ipc", "seeds", "epochs", "jobs"):
            if (value := getattr(self, option)) is not None and value < 1:
                raise GiftError(f"--{option} must be 1 or more, not {value}")
        grid.parse_shard(self.shard)

    @property
    def at_once(self) -> int:
        """How many students are trained at once."""
        return self.jobs or (at_once() if self.dataset == "digits" else 1)


class Materials(NamedTuple):
    """What is trained and tested: sets by their method's name; validation_set None if none is at hand."""

    teacher: Teacher | None
    sets: Mapping[str, DistilledSet]
    evaluation_set: EvaluationSet
    validation_set: EvaluationSet | None
    student: Model

    def recipe(self, method: str, study: Study, student: Model | None = None, **changes: Any) -> Recipe:
        """The official recipe for a method's set, in the study's epochs and with ten looks at the test images."""
        recipe = make_recipe("gift", setting_of(self.sets[method], (student or self.student).spec.name))
        return dataclasses.replace(recipe, **{"epochs": study.epochs, "evaluations": 10, **changes})

    def cell(
        self, labels: Mapping[str, str], method: str, recipe: Recipe, seed: int, student: Model | None = None
    ) -> Cell:
        """One student on a method's set."""
        parts = (recipe, student or self.student, self.sets[method], self.teacher, self.evaluation_set)
        return Cell(dict(labels), *parts, seed, self.validation_set)


def load_materials(study: Study, methods: Sequence[str]) -> Materials:
    """Make the digits' pieces, or find and convert real ones. Raises: GiftError about what is missing."""
    announce()
    if study.dataset == "digits":
        digits = load_digits(study.out, study.ipc, tuple(methods))
        return Materials(*digits, get_model(digits.teacher.info.spec))
    shared = ("dataset", "model", "ipc", "distilled", "teacher", "data", "train_data", "class_order")
    options = {name: getattr(study, name) for name in shared}
    parts = {method: load_parts(Evaluate(method=method, **options)) for method in methods}
    spaces = {part.evaluation_set.pixel_space for part in parts.values()}
    if len(spaces) > 1:
        raise GiftError("--methods mixes whitened (DATM) and raw sets, which are tested differently; study them apart")
    first = next(iter(parts.values()))
    sets = {method: part.distilled for method, part in parts.items()}
    return Materials(first.teacher, sets, first.evaluation_set, load_validation(study, first.student), first.student)


def load_validation(study: Study, student: Model) -> EvaluationSet | None:
    """Real training images, evenly chosen, as test images are seen; None if --train-data does not say where."""
    if study.train_data is None:
        return None
    size = student.spec.image_size
    records = load_records(study.dataset, source=study.train_data, class_order=study.class_order, train=True)
    rows = range(0, len(records.labels), -(-len(records.labels) // VALIDATION_IMAGES))
    images = list(decoded(records, make_transform(get_dataset(study.dataset), size), rows))
    return EvaluationSet(np.stack(images), records.labels[rows], study.dataset, class_names=records.class_names)


def run_study(
    study: Study,
    experiment: str,
    materials: Materials,
    cells: Sequence[Cell],
    make_sections: Callable[[Sequence[Row]], list[Section]],
) -> None:
    """Run the cells, or list them, and write the report of all results in the study's directory."""
    shard = grid.parse_shard(study.shard)
    if study.dry_run:
        print_plan(grid_plan.make_plan(cells, study.out, shard, jobs=study.at_once))
        return
    save_sheets(study.out, materials.sets, materials.teacher, materials.evaluation_set.class_names)
    options = {"retry_failed": study.retry_failed, "jobs": study.at_once, "log": make_log(study)}
    rows = grid.run_grid(cells, study.out, experiment=experiment, shard=shard, **options)
    if shard.parts > 1:
        print(f"part {study.shard} is done; `python -m experiments.report {study.out}` joins the parts")
        return
    write_report(study.out, experiment, {experiment: make_sections}, rows, [study.out])
    print(f"Written: {study.out}/report.html, report.md, pictures/, results.jsonl")


def save_sheets(
    out: Path, sets: Mapping[str, DistilledSet], teacher: Teacher | None, class_names: tuple[str, ...]
) -> None:
    """Write a contact sheet of every set to out/sheets/, from which reports take them."""
    for name, distilled in sets.items():
        sheet = contact_sheet(f"sheet_{name}", distilled, teacher, class_names)
        path = out / "sheets" / sheet.file_name
        with atomic_write(path) as temporary, os_errors_as_gift_error(path):
            temporary.write_bytes(sheet.content if isinstance(sheet.content, bytes) else sheet.content.encode())


def make_log(study: Study) -> grid.Log | None:
    """Where figures go while the study runs, if they were asked for."""
    if not study.tensorboard:
        return None
    from gift_jax.studies.tensorboard import make_writer

    return make_writer(study.out / "tensorboard")


def print_plan(plan: grid_plan.Plan) -> None:
    """Print the cells, how many are to be run and about how long that takes."""
    table = Table("cell", "state")
    for line in plan.lines:
        table.add_row(*line)
    rich.print(table)
    time = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
    print(f"a dry run: {plan.pending} of {len(plan.lines)} cells to run, {plan.epochs} epochs{time} ({plan.source})")
