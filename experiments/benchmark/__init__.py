"""Answer on a real benchmark how much GIFT helps: Fashion-MNIST from its original files to a report.

Question: how much does GIFT help, over which losses and under which optimizers, once every loss has its own tuned rate?
Beyond the paper (GIFT, ICLR 2025), which has neither this dataset nor tuned rates.
Command: `python -m experiments.benchmark`, or `make evidence`; `--dry-run` measures and says how long it takes.
Hardware: 2 CPU cores for some hours; the files are those of the Debian package dataset-fashion-mnist.

A ConvNet-3 of width 128 is trained on all 60,000 training images. Sets of 1, 10 and 50 images a class are made: RDED's,
k-means medoids, random images. Students are trained for 200 steps by the official recipe; 2,000 steps are a question of
their own. The rate of each loss under each optimizer is chosen by one student, which is not counted, on 5,000 training
images that no set holds. Test images are looked at once, after the last step, and choose nothing.

Stated before the first student was tested:
- The primary comparison is GIFT minus its strongest rival, at tuned rates and 10 images a class of RDED's set: a seed's
  mean over SGD, Adam and AdamW, by one two-sided paired t-test over 10 seeds at 5 %. The rival is the other loss of the
  highest mean validation accuracy in the search.
- The family is GIFT against each of the six other losses under each of the three optimizers at tuned rates: 18 paired
  t-tests by seed, corrected by Holm; the 18 at customary rates are a family of their own. GIFT and its two strongest
  rivals have 10 seeds at tuned rates, all else 5.
- Everything else is described by means and standard deviations, and not tested.
"""

from gift_jax import GiftError
from gift_jax.reports.pictures import display
from gift_jax.runtime.devices import announce
from gift_jax.studies import grid, grid_plan
from gift_jax.studies.cells import Cell
from gift_jax.training.timing import duration

from ..common.reporting import Row, print_summary, write_report
from ..common.study import check_failures, print_plan, rekey_results, save_sheets
from .cells import QUESTIONS, StudyInputs, choose, not_searched
from .setup import DATASET, MADE, NAME, Benchmark, Resources, load_resources, teacher_seconds
from .views import make_sections

__all__ = ["NAME", "Benchmark", "main", "make_sections"]


def run_questions(config: Benchmark, resources: Resources) -> None:
    """Run each chosen question; the search comes first, for the others need what it chose."""
    options = {"retry_failed": config.retry_failed, "jobs": config.jobs}
    for name in (stage for stage in QUESTIONS if stage in config.stages):
        choice = not_searched(config) if name in ("search", "gradient") else choose(known_rows(config), config)
        cells = [*QUESTIONS[name](StudyInputs(config, resources, choice))]
        grid.run_grid(cells, config.out, experiment=NAME, **options)


def known_rows(config: Benchmark) -> list[Row]:
    """What was found so far, a row for each label and seed, the teacher's last. Raises: GiftError about mixed runs."""
    rows: dict[str, Row] = {}
    for row in sorted(grid.known_rows(config.out), key=lambda row: "teacher" in row["labels"].values()):
        if row.get("experiment") == NAME:
            name = grid.name_of(row["labels"], row["seed"])
            if rows.setdefault(name, row)["cell"] != row["cell"]:
                raise GiftError(
                    f"{config.out}: holds runs of different settings ({name}); give another --out to one of them"
                )
    return [*rows.values()]


def all_cells(config: Benchmark, resources: Resources) -> list[Cell]:
    """The cells of the chosen questions, at the rates that the search found, if it has been run."""
    rows = known_rows(config)
    searched = any(row["labels"]["question"] == "search" for row in rows)
    choice = choose(rows, config) if searched else not_searched(config)
    inputs = StudyInputs(config, resources, choice)
    return [cell for name, make in QUESTIONS.items() if name in config.stages for cell in make(inputs)]


def plan(config: Benchmark, resources: Resources) -> None:
    """Say what is to be run and how long that takes, from a few steps of each kind."""
    print_plan(grid_plan.make_plan(all_cells(config, resources), config.out, jobs=config.jobs))
    seconds = teacher_seconds(config, resources)
    print(f"the teacher: {duration(seconds) if seconds else 'is there'}; making the sets takes some minutes more")


def main(config: Benchmark) -> None:
    """Run the stages, and write the report of all that is in the run's directory."""
    announce()
    resources = load_resources(config)
    if config.dry_run:
        plan(config, resources)
        return
    if config.rekey:
        rekey_results(all_cells(config, resources), config.out)
        return
    run_questions(config, resources)
    rows = known_rows(config)
    if "report" in config.stages:
        shown = {f"{name}_ipc{config.ipc}": resources.sets[name, config.ipc] for name in MADE}
        save_sheets(config.out, shown, resources.teacher, resources.test.class_names)
        title = f"GIFT on {display(DATASET)}"
        print_summary(write_report(config.out, title, {NAME: make_sections}, rows, [config.out]))
        print(f"Written: {config.out}/report.html, report.md, pictures/, results.jsonl")
    check_failures(rows)
