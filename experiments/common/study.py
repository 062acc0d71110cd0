"""What the studies share: options, the pieces that are trained, and the way from cells to a report."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import rich
from rich.table import Table

from gift_jax import DistilledSet, GiftError, Teacher
from gift_jax.data.evaluation import DIGITS, EvaluationSet, load_digits_test
from gift_jax.models import Model, get_model
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports.sheet import contact_sheet
from gift_jax.runtime.devices import announce
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error
from gift_jax.runtime.options import Choices, Count, Dataset, ModelName, SeedList, check_once
from gift_jax.runtime.progress import duration
from gift_jax.runtime.seeds import check_seeds
from gift_jax.studies import grid, grid_plan
from gift_jax.studies.cells import Cell
from gift_jax.studies.rekey import rekey
from gift_jax.studies.results import check_directory
from gift_jax.studies.tensorboard import make_writer
from gift_jax.task import Task

from . import sources
from .digits_setup import at_once, example_teacher
from .guessing import warn_at_guessing
from .inputs import Inputs, check_alike, check_size, load_test, load_validation, make_student, warn_if_test_images
from .real_images import training_digits
from .reporting import MakeSections, Row, print_summary, report_title, write_report
from .set_making import check_method, find_set
from .sources import find_distilled, find_teacher

Method = Annotated[
    str, Choices(f"{sources.__name__}:SETS", ("random", "herding", "kmeans", "medoids"), has_others=True)
]


@dataclasses.dataclass(frozen=True)
class Study(Inputs):
    """Options of every study.

    Args:
        dataset: the digits need no files, and make their own; others are found as `experiments.evaluate` finds them.
        out: directory of results, report and pictures; what is finished there is not run again.
        model: architecture of the teacher, which the sets were made with.
        seeds: one student per cell for each; by default as many as num_seeds says, from 0.
        num_seeds: students per cell.
        epochs: of each student.
        shard: i/n runs part i of n, for one of several machines or jobs.
        jobs: students trained at once; by default 3 for the digits on a CPU, else 1.
        dry_run: list the cells and how long they take, and stop.
        rekey: know results of an earlier version again, by all that they record, and stop.
        retry_failed: run cells again that failed before.
        tensorboard: write losses and accuracies to out/tensorboard.
    """

    out: Path = Path("runs/study")
    dataset: Dataset = "digits"
    model: ModelName = "conv2"
    seeds: SeedList = ()
    num_seeds: Count = 3
    epochs: Count = 100
    shard: str = "1/1"
    jobs: Count | None = None
    dry_run: bool = False
    rekey: bool = False
    retry_failed: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_once(self)
        if not self.seeds:
            object.__setattr__(self, "seeds", tuple(range(self.num_seeds)))
        check_seeds(self.seeds)
        if self.dataset == DIGITS:
            for option in ("model", "distilled", "teacher", "data", "train_data", "class_order"):
                if getattr(self, option) != getattr(type(self), option):
                    own = "studies of the digits make their own; drop it, or give another --dataset"
                    raise GiftError(f"--{option.replace('_', '-')}: {own}")
        grid.parse_shard(self.shard)

    @property
    def at_once(self) -> int:
        """How many students are trained at once."""
        return self.jobs or (at_once() if self.dataset == DIGITS else 1)


class Materials(NamedTuple):
    """What is trained and tested.

    sets, students: by the method's name. validation_set: None if none is at hand. live: whether the teacher labels also
    sets that store labels.
    """

    teacher: Teacher | None
    sets: Mapping[str, DistilledSet]
    evaluation_set: EvaluationSet
    validation_set: EvaluationSet | None
    students: Mapping[str, Model]
    live: bool = False

    @property
    def student(self) -> Model:
        """The student of all sets. Raises: GiftError if methods have students of their own."""
        if len({student.spec for student in self.students.values()}) > 1:
            names = " ".join(self.students)
            raise GiftError(f"--methods {names}: their students have different options; study them apart")
        return next(iter(self.students.values()))

    def labelling_teacher(self) -> Teacher:
        """The teacher that labels real images as it labels the sets. Raises: GiftError if it cannot."""
        if self.teacher is None or self.evaluation_set.pixel_space != "raw":
            mend = "give --teacher, and no whitened set"
            raise GiftError(f"random images need a teacher of raw images to label them; {mend}")
        return self.teacher

    def student_of(self, method: str) -> Model:
        """The student of a method's set, or that of all sets for one that the study made."""
        return self.students.get(method) or self.student

    def set_of(self, method: str, seed: int) -> DistilledSet:
        """A method's set, or the one that is drawn for this seed, `METHOD-SEED`."""
        return self.sets.get(f"{method}-{seed}") or self.sets[method]

    def recipe(self, method: str, study: Study, student: Model | None = None, **changes: Any) -> Recipe:
        """The official recipe for a method's set, in the study's epochs and with ten evaluations."""
        model = student or self.student_of(method)
        recipe = make_recipe("gift", setting_of(self.set_of(method, study.seeds[0]), model.spec.name))
        return dataclasses.replace(recipe, **{"epochs": study.epochs, "evaluations": 10, **changes})

    def cells(
        self, study: Study, labels: Mapping[str, str], method: str, student: Model | None = None, **changes: Any
    ) -> Iterator[Cell]:
        """A student per seed on a set, under its stored labels or else the teacher. Args: changes, to the recipe."""
        model = student or self.student_of(method)
        recipe = self.recipe(method, study, model, **changes)
        for seed in study.seeds:
            distilled = self.set_of(method, seed)
            teacher = self.teacher if self.live or distilled.soft_labels is None else None
            yield Cell(labels, Task(recipe, model, distilled, teacher, self.evaluation_set), seed, self.validation_set)


def load_materials(study: Study, methods: Sequence[str]) -> Materials:
    """Make the digits' pieces, or find and convert real ones. Raises: GiftError about what is missing."""
    check_directory(study.out)
    if study.dataset == DIGITS:
        announce()
        return load_digits(study.out, study.ipc, methods)
    where = (study.dataset, study.model, study.ipc)
    sets = {method: find_distilled(study.distilled, method, *where) for method in methods}
    check_alike(sets.values())
    first = next(iter(sets.values()))
    asked = study.has_teacher or any(distilled.soft_labels is None for distilled in sets.values())
    teacher = find_teacher(study.teacher, study.dataset, study.model) if asked and not study.is_teacherless else None
    check_size(teacher, first, study.teacher)
    students = {method: make_student(study.model, method, distilled) for method, distilled in sets.items()}
    test, validation = load_test(study, first), load_validation(study, first)
    if validation is not None:
        warn_if_test_images(validation, test)
    announce()
    return Materials(teacher, sets, test, validation, students, study.has_teacher)


def load_digits(out: Path, ipc: int, methods: Sequence[str]) -> Materials:
    """Make, or take from out, everything that a study on the digits needs. Raises: GiftError."""
    real = training_digits()
    for method in methods:
        check_method(method, real, ipc)
    teacher, sets = example_teacher(out), {}
    for method in methods:
        path = out / "sets" / f"{method}_ipc{ipc}.safetensors"
        sets[method] = find_set(path, method, real, teacher, ipc)
    validation, student = training_digits(held_out=True).as_test_images(), get_model(teacher.info.spec)
    return Materials(teacher, sets, load_digits_test(), validation, dict.fromkeys(methods, student))


def run_study(
    study: Study, experiment: str, materials: Materials, cells: Iterable[Cell], make_sections: MakeSections
) -> None:
    """Run the cells, or list them, and write the report of all results in the study's directory."""
    cells = [*cells]
    shard = grid.parse_shard(study.shard)
    if study.dry_run:
        print_plan(grid_plan.make_plan(cells, study.out, shard, jobs=study.at_once))
        return
    if study.rekey:
        rekey_results(cells, study.out)
        return
    save_sheets(study.out, materials.sets, materials.teacher, materials.evaluation_set.class_names)
    log = make_writer(study.out / "tensorboard") if study.tensorboard else None
    options = {"retry_failed": study.retry_failed, "jobs": study.at_once, "log": log}
    rows = grid.run_grid(cells, study.out, experiment=experiment, shard=shard, **options)
    if shard.parts > 1:
        print(f"part {study.shard} is done; `python -m experiments.report {study.out}` joins the parts")
    else:
        report(study.out, report_title([experiment], rows), experiment, make_sections, rows)
    check_failures(rows)


def report(out: Path, title: str, experiment: str, make_sections: MakeSections, rows: Sequence[Row]) -> None:
    """Write the report of a study's results beside them, and print its first table."""
    print_summary(write_report(out, title, {experiment: make_sections}, rows, [out]))
    warn_at_guessing(rows)
    print(f"Written: {out}/report.html, report.md, pictures/, results.jsonl")


def rekey_results(cells: Sequence[Cell], out: Path) -> None:
    """Give the results in out the keys of these cells, and say of which ones not, and why."""
    count, others = rekey(cells, out)
    assumed = "what they do not record is taken to be the same"
    print(*others, f"{count} results have new keys ({assumed}); {len(others)} are of no cell of this study", sep="\n")


def check_failures(rows: Sequence[Row]) -> None:
    """Raises: GiftError if a run failed otherwise than by divergence, which is a result."""
    if failed := [row for row in rows if row.get("failed") == "error"]:
        count = f"{len(failed)} of {len(rows)} runs failed"
        raise GiftError(f"{count}, the first by {failed[0]['reason']}; --retry-failed runs them again")


def save_sheets(out: Path, sets: Mapping[str, DistilledSet], teacher: Teacher | None, names: Sequence[str]) -> None:
    """Write a contact sheet of every set to out/sheets/, from which reports take them."""
    for name, distilled in sets.items():
        sheet = contact_sheet(f"sheet_{name}", distilled, teacher, names)
        path = out / "sheets" / sheet.file_name
        with atomic_write(path) as temporary, os_errors_as_gift_error(path):
            temporary.write_bytes(sheet.data)


def print_plan(plan: grid_plan.Plan) -> None:
    """Print the settings, how many students are to be trained and about how long that takes."""
    table = Table("setting", "students")
    for line in plan.lines:
        table.add_row(*line)
    rich.print(table)
    time = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
    print(f"a dry run: {plan.pending} of {plan.total} students to train, {plan.epochs} epochs{time} ({plan.source})")
