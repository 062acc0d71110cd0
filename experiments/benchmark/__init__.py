"""Answer on a real benchmark how much GIFT helps: from a dataset's images to a report.

Question: should one use this loss? GIFT beside the other losses, under several optimizers, lengths and students, in the
official regime (GIFT, ICLR 2025); and beside it what others published, reproduced by the same code.
Command: `python -m experiments.benchmark --dataset cifar10 --data cifar10.tar.xz`, or `make evidence` for
Fashion-MNIST; `--dry-run` measures and says how long it takes.
Hardware: 2 CPU cores for some hours, or a GPU for minutes; resumed by the same command, and `--stages` runs a part.

Sets are made of eleven twelfths of the training images; the others are for choosing learning rates. Test images are
looked at once, after the last step, and choose nothing. docs/studies.md says how teacher and students are trained.

Stated before the first student was tested, of CIFAR-10:
- The primary comparison is GIFT minus KL at T = 20, which is RDED's loss and the paper's comparison: RDED's set, 10
  images a class, AdamW at the official rate, by one two-sided paired t-test over 8 seeds at 5 %.
- Everything else is described by means and standard deviations.

Of Fashion-MNIST:
- The primary comparison is GIFT minus its strongest rival, at tuned rates and 10 images a class of RDED's set: a seed's
  mean over SGD, Adam and AdamW, by one two-sided paired t-test over 10 seeds at 5 %. The rival is the other loss of the
  highest mean validation accuracy in the search.
- The family is GIFT against each of the six other losses under each of the three optimizers at tuned rates: 18 paired
  t-tests by seed, corrected by Holm; the 18 at default rates are a family of their own. GIFT and its two strongest
  rivals have 10 seeds at tuned rates, all else 5.
- Everything else is described by means and standard deviations, and not tested.
"""

from gift_jax import GiftError
from gift_jax.reports.pictures import display
from gift_jax.runtime.progress import duration
from gift_jax.studies import grid, grid_plan
from gift_jax.studies.cells import Cell

from ..common.reporting import Row
from ..common.study import check_failures, print_plan, rekey_results, report, save_sheets
from .cells import QUESTIONS, StudyInputs, choose, needs_search, not_searched
from .setup import MADE, Benchmark, Resources, load_resources, set_path, teacher_seconds
from .views import make_sections


def make_cells(config: Benchmark, resources: Resources, question: str, *, planned: bool = False) -> list[Cell]:
    """A question's cells, at the rates that the search found if it needs them; planned before it, at any rate."""
    rows = known_rows(config)
    searched = not planned or any(row["labels"]["question"] == "search" for row in rows)
    choice = choose(rows, config) if searched and needs_search(question, config) else not_searched(config)
    return [*QUESTIONS[question](StudyInputs(config, resources, choice))]


def known_rows(config: Benchmark) -> list[Row]:
    """What was found so far, a row for each label and seed, the teacher's last. Raises: GiftError about mixed runs."""
    rows: dict[str, Row] = {}
    for row in sorted(grid.known_rows(config.out), key=lambda row: "teacher" in row["labels"].values()):
        if row.get("experiment") == config.name:
            name = grid.name_of(row["labels"], row["seed"])
            if rows.setdefault(name, row)["cell"] != row["cell"]:
                mend = "give another --out to one of them"
                raise GiftError(f"{config.out}: holds runs of different settings ({name}); {mend}")
    return [*rows.values()]


def main(config: Benchmark) -> None:
    """Run the stages, and write the report of all that is in the run's directory."""
    resources = load_resources(config)
    questions = [name for name in QUESTIONS if name in config.stages]
    if config.dry_run or config.rekey:
        cells = [cell for name in questions for cell in make_cells(config, resources, name, planned=True)]
        if config.dry_run:
            print_plan(grid_plan.make_plan(cells, config.out, jobs=config.jobs))  # from a few steps of each kind
            seconds = teacher_seconds(config, resources)
            time = duration(seconds) if seconds else "is there"
            print(f"the teacher: {time}; making the sets takes some minutes more")
        else:
            rekey_results(cells, config.out)
        return
    options = {"experiment": config.name, "retry_failed": config.retry_failed, "jobs": config.jobs}
    for name in questions:
        if cells := make_cells(config, resources, name):
            grid.run_grid(cells, config.out, **options)
    rows = known_rows(config)
    if "report" in config.stages:
        made = [name for name in MADE if set_path(config, name, config.ipc).is_file()]
        shown = {f"{name}_ipc{config.ipc}": resources.find_set(name, config.ipc) for name in made}
        save_sheets(config.out, shown, resources.teacher, resources.test.class_names)
        report(config.out, f"GIFT on {display(config.dataset)}", config.name, make_sections, rows)
    check_failures(rows)
