"""Train students on a distilled set under a teacher and test them: the paper's main experiment.

Question: how good is a distilled set, for a loss, an optimizer and a student? (GIFT, ICLR 2025, Tables 1 to 3;
experiments.loss_comparison has the paper's figures that are known. RDED reports 48.1 % for conv3 on CIFAR-100.)
Command: `python -m experiments.evaluate --method rded --dataset cifar100 --model conv3 --ipc 10`, with the
official options and directories: sets in `syn_data/METHOD/DATASET_MODEL/ipcN/`, teachers in
`data/pretrain_models/`, test images in `data/DATASET/val/`. Converted files and unconverted ones are both read.
Time: the plan says what is going to be done and how much memory it takes; the progress, how long it takes.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import rich
from rich.table import Table

from gift_jax import GiftError, Teacher, plan
from gift_jax.data.stored_labels import load_soft_labels
from gift_jax.models import get_model
from gift_jax.optim import default_rate, make_optimizer, make_schedule
from gift_jax.recipes import Setting, make_recipe, setting_of
from gift_jax.recipes.hald import soft_hard_soft
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports.tables import summarize
from gift_jax.runtime import cli, files
from gift_jax.runtime.devices import announce
from gift_jax.runtime.options import (
    Alias,
    Count,
    Loss,
    ModelName,
    NonNegative,
    OptimizerName,
    RecipeName,
    Source,
    check_once,
)
from gift_jax.runtime.progress import duration
from gift_jax.runtime.seeds import check_seeds
from gift_jax.runtime.sharding import is_writer, join_hosts
from gift_jax.studies import grid_plan
from gift_jax.studies.cells import Cell
from gift_jax.studies.results import check_directory, check_place, end_last_line, read_results
from gift_jax.task import Task
from gift_jax.teachers.committee import unite
from gift_jax.training.identity import fingerprint
from gift_jax.training.resume import Checkpoints, remove
from gift_jax.training.train import Run

from .common.guessing import warn_at_guessing
from .common.inputs import TEACHERLESS, Inputs, check_size, load_test, make_student, student_options, usual_spec
from .common.sources import Method, find_distilled, find_teacher
from .common.training import train_shown


@dataclasses.dataclass(frozen=True)
class Evaluate(Inputs):
    """Students on a distilled set.

    Args:
        method: method that made the distilled set.
        model: architecture of the student, and of the teacher unless tar_model is given; a set's directory in the
            official layout is named after it, but DATM's after tar_model.
        tar_model: architecture of the teacher.
        teacher_models: architectures of several teachers in its place, all in the directory that teacher names; the
            labels are the mean of their logits.
        teacher_weights: weight of each of them in that mean; all alike by default.
        student_options: options of the student, such as norm=instance,width=64; DATM's and DC's ConvNets have
            norm=instance.
        recipe: training recipe; `gift` is the official one, the others are each method's own.
        loss: loss in place of the recipe's; --criterion_name in the official code.
        hard_share: share of the epochs, in the middle of the run, that learn from hard labels, smoothed by 0.8 (HALD's
            soft-hard-soft has 0.5).
        optimizer: optimizer in place of the recipe's.
        learning_rate: learning rate in place of the recipe's; another optimizer's is its default.
        epochs: epochs in place of the recipe's.
        batch_size: batch size in place of the recipe's.
        max_steps: cut each epoch short, to try things out.
        seeds: one student is trained for each.
        precision: of the networks' arithmetic; weights, losses and statistics stay float32.
        soft_labels: directory that `convert fkd` wrote, to train from in place of a teacher.
        out: directory of results.jsonl.
        resume: take up unfinished runs there, and repeat none that is finished.
        save_minutes: minutes between two checkpoints.
        devices: how many to use; by default all accelerators.
        hosts: this is one of several processes, under SLURM or with JAX_COORDINATOR_ADDRESS set (docs/scaling.md).
        dry_run: print the plan and stop.
    """

    method: Method = "rded"
    tar_model: ModelName | None = None
    teacher_models: tuple[ModelName, ...] = ()
    teacher_weights: tuple[float, ...] = ()
    student_options: str | None = None
    recipe: RecipeName = "gift"
    loss: Annotated[Loss, Alias("criterion-name")] | None = None
    hard_share: float | None = None
    optimizer: OptimizerName | None = None
    learning_rate: NonNegative | None = None
    epochs: Count | None = None
    batch_size: Count | None = None
    max_steps: Count | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Literal["float32", "bfloat16"] = "float32"
    soft_labels: Source | None = None
    out: Path = Path("runs/evaluate")
    resume: bool = True
    save_minutes: NonNegative = 5.0
    devices: Count | None = None
    hosts: bool = False
    dry_run: bool = False

    @property
    def teacher_model(self) -> str:
        """Architecture of a single teacher, after which the official layout names its file."""
        return self.tar_model or self.model


def check_options(config: Evaluate) -> None:
    """Refuse what no set and no student would fit, before anything is looked for. Raises: GiftError."""
    check_directory(config.out)
    check_seeds(config.seeds)
    if config.devices is not None and not 1 <= config.devices <= jax.device_count():
        raise GiftError(f"--devices must be from 1 to {jax.device_count()}, which are there, not {config.devices}")
    other = "--soft-labels" if config.soft_labels else f"--teacher {TEACHERLESS}" if config.is_teacherless else ""
    if config.teacher_models and other:
        raise GiftError(f"--teacher-models and {other} are given; give one of them")
    if config.soft_labels and config.has_teacher:
        raise GiftError("--soft-labels and --teacher are given, and only one of them can label images; leave one out")
    if config.tar_model and other and config.method != "datm":  # whose sets are named after it
        raise GiftError(f"--tar_model {config.tar_model} is a teacher's, and {other} takes none; leave one out")
    if config.teacher_weights and not config.teacher_models:
        raise GiftError("--teacher-weights are of --teacher-models; give these too")
    for model in (config.teacher_model, *config.teacher_models):
        get_model(usual_spec(config, model))
    options = student_options(config.model, config.method, config.student_options)
    get_model(usual_spec(config, options=options))
    recipe = resolve_recipe(config, Setting(config.method, config.dataset, config.model, config.ipc, learning_rate=1.0))
    make_optimizer(recipe.optimizer, make_schedule(recipe.schedule, 1.0, 1, 1))


def resolve_recipe(config: Evaluate, setting: Setting) -> Recipe:
    """The named recipe for this set and student, with what the options say instead."""
    recipe = make_recipe(config.recipe, setting)
    changes = {name: getattr(config, name) for name in ("epochs", "batch_size", "precision", "max_steps")}
    if config.loss and config.loss != recipe.loss:
        changes |= {"loss": config.loss, "loss_options": ()}
    if config.hard_share is not None:
        recipe = soft_hard_soft(recipe, config.hard_share)
    optimizer = recipe.optimizer
    if config.optimizer not in (None, optimizer.name):
        optimizer = optimizer.renamed(config.optimizer, config.learning_rate)
    elif config.learning_rate is not None:
        optimizer = dataclasses.replace(optimizer, learning_rate=config.learning_rate)
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(recipe, optimizer=optimizer, **given)


def load_task(config: Evaluate) -> Task:
    """Find, convert and load everything. Raises: GiftError about the first thing that is missing or wrong."""
    # The official layout names a set's directory after the student, but DATM's after the teacher.
    model = config.teacher_model if config.method == "datm" else config.model
    distilled = find_distilled(config.distilled, config.method, config.dataset, model, config.ipc)
    if config.train_data and distilled.pixel_space != "zca":
        print("warning: --train-data is read for whitened sets only, and this one is not", file=sys.stderr)
    if config.batch_size and config.batch_size > (count := len(distilled.labels)):
        print(f"warning: --batch-size {config.batch_size} is more than the set's {count} images", file=sys.stderr)
    recipe = resolve_recipe(config, setting_of(distilled, config.model))
    given = config.has_teacher or bool(config.teacher_models)
    has_labels = config.soft_labels is not None or (distilled.soft_labels is not None and not given)
    unread = set(recipe.losses) == {"ce"} and not given
    teacher = None if has_labels or unread or config.is_teacherless else find_teachers(config)
    check_size(teacher, distilled, config.teacher)
    student = make_student(config.model, config.method, distilled, config.student_options)
    evaluation_set = load_test(config, distilled)
    soft_labels = load_soft_labels(config.soft_labels) if config.soft_labels else None
    return Task(recipe, student, distilled, teacher, evaluation_set, soft_labels)


def find_teachers(config: Evaluate) -> Teacher:
    """The teacher, or several as one. Raises: GiftError."""
    names = config.teacher_models or (config.teacher_model,)
    check_once(config)
    teachers = [find_teacher(config.teacher, config.dataset, model) for model in names]
    for teacher, model in zip(teachers, names, strict=True):
        if (config.teacher_models or config.tar_model) and teacher.info.architecture != model:
            option = "--teacher-models" if config.teacher_models else "--tar_model"
            raise GiftError(f"{config.teacher}: is a {teacher.info.architecture}, not the {option} {model}")
    return unite(teachers, config.teacher_weights)


def print_plan(config: Evaluate, task: Task) -> None:
    """Print what is going to be done."""
    table = Table.grid(padding=(0, 2))
    for heading, text in plan.describe(task, config.seeds):
        table.add_row(f"[bold]{heading}", text)
    if config.optimizer and config.learning_rate is None:
        rate = default_rate(config.optimizer)
        if rate.value == task.learning_rate:
            table.add_row("[bold]learning rate", f"{rate.value:g}, default for {config.optimizer}: {rate.source}")
    if task.teacher and task.recipe.normalisation not in (None, own := task.teacher.info.normalisation):
        table.add_row("", f"the teacher was trained under its own: mean {own.mean}, std {own.std}")
    table.add_row("[bold]results", f"{config.out}/results.jsonl")
    rich.print(table)


def name_seeds(config: Evaluate, task: Task) -> dict[int, str]:
    """What the row of each seed's student is called."""
    identity = task.identity()
    return {seed: fingerprint({**identity, "validation": None, "seed": seed}) for seed in config.seeds}


def find_rows(config: Evaluate, names: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """The rows of seeds whose students are not trained again, as they are in results.jsonl."""
    results = config.out / "results.jsonl"
    found = read_results(results) if config.resume and results.is_file() else []
    known = {row["cell"]: row for row in found if "cell" in row and "failed" not in row}
    return {seed: known[name] for seed, name in names.items() if name in known}


def estimate(config: Evaluate, task: Task) -> str:
    """How long the students that are not there yet take, one after another, from a few epochs of the first one."""
    names = name_seeds(config, task)
    pending = [seed for seed in names if seed not in find_rows(config, names)]
    if config.hosts or task.soft_labels is not None:  # of which a few epochs cannot be run alone
        return ""
    plan = grid_plan.make_plan([Cell({}, task, seed) for seed in pending], config.out)
    time = "" if plan.seconds is None else f", about {duration(plan.seconds)}"
    return f"; {plan.pending} of {len(names)} students to train, {plan.epochs} epochs{time} ({plan.source})"


def run_students(config: Evaluate, task: Task) -> tuple[list[Run], list[dict]]:
    """Train a student for each seed that is not in results.jsonl yet. Returns: the new runs, and all seeds' rows."""
    results, names = config.out / "results.jsonl", name_seeds(config, task)
    if config.resume:
        end_last_line(results)
    rows = find_rows(config, names)
    for seed in rows:
        print(f"seed {seed}: finished before, in {results}; --no-resume trains it again")
    pending = [seed for seed in config.seeds if seed not in rows]
    # Evaluations of other settings may share the directory, at the same time too.
    directory = config.out / "checkpoints" / task.setting
    checkpoints = Checkpoints(directory, minutes=config.save_minutes, resume=config.resume)

    def on_run(run: Run) -> None:
        rows[run.seed] = {"cell": names[run.seed], **task.row(run)}
        if is_writer():
            files.append_json_line(results, rows[run.seed])

    runs = []
    if pending:
        check_place(results)
        runs = train_shown(task, "students", pending, config.devices, checkpoints=checkpoints, on_run=on_run)
    remove(checkpoints, config.seeds)  # also those of a run that was stopped between its row and this
    return runs, [rows[seed] for seed in config.seeds]


def summary(rows: Sequence[dict]) -> str:
    """Last and best accuracy over the seeds, mean ± sample standard deviation, in percent."""
    figures = (summarize(row[name] for row in rows) for name in ("top1_last", "top1_best", "top5_last"))
    last, best, top5 = (figure.text(".2f") for figure in figures)
    return (
        f"top-1 {last} % after the last epoch, {best} % at the best of {len(rows[0]['history'])} evaluations on the "
        f"test images; top-5 {top5} %; n = {len(rows)}"
    )


def run(config: Evaluate) -> list[Run]:
    """Load, say the plan, train, report. Returns: the runs that were not finished before, none if it is a dry run."""
    if config.hosts:
        join_hosts()
    check_options(config)
    task = load_task(config)
    if is_writer():
        announce()
    print_plan(config, task)
    if config.dry_run:
        print(f"a dry run: every file is usable, nothing was trained{estimate(config, task)}")
        return []
    if task.teacher and is_writer():
        print(f"teacher: top-1 {task.teacher_top1:.2f} % on the {len(task.test_set.labels)} test images")
    files.make_directory(config.out)  # now, and not when the first student is ready
    runs, rows = run_students(config, task)
    print(summary(rows))
    warn_at_guessing(rows)
    return runs


def main(config: Evaluate) -> None:
    """Run the experiment."""
    run(config)


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.evaluate")
