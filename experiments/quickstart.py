"""Run GIFT from end to end on real handwritten digits, in about a minute.

Question: how does the loss decide which optimizers can train a student on a distilled set? (GIFT, ICLR 2025)
Command: `python -m experiments.quickstart`, or `make demo`.
Hardware: 2 CPU cores, 58 to 69 s with nothing compiled before (n = 3); no download (scikit-learn's 1,797 real digits).

A ConvNet teacher is trained in PyTorch and saved as the torchvision reference trainer saves; converted and
verified; RDED makes a set of 10 images a class with it; students are trained from scratch with every loss and
optimizer. Each optimizer's learning rate is fixed beforehand from where it is customary, and nothing is
chosen with the test images.
"""

import dataclasses
import itertools
from pathlib import Path

import rich
from rich.table import Table

from gift_jax import DistilledSet, GiftError, Teacher, rded, save_distilled
from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import load_digits_test
from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes import make_recipe, setting_of
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports import answer, heatmap, significance, tables
from gift_jax.runtime import cli, provenance
from gift_jax.runtime.devices import announce
from gift_jax.runtime.files import write_text
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid import run_grid

from .common.digits_setup import at_once, make_teacher
from .common.set_making import CROPS

LOSSES = ("kl", "softce", "mse_ce", "cosine", "gift")
# The torchvision reference's SGD, Adam as torch.optim has it, the official GIFT recipe's AdamW.
OPTIMIZERS = (
    Optimizer("sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-4),
    Optimizer("adam", learning_rate=1e-3, weight_decay=0.0),
    Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-4),
)


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """Losses x optimizers on a distilled set of scikit-learn's digits.

    Args:
        out: directory of results.jsonl, report.md, heatmap.png, the teacher and the set.
        ipc: images a class.
        seeds: students a cell.
        epochs: of each student.
    """

    out: Path = Path("runs/quickstart")
    ipc: int = 10
    seeds: int = 3
    epochs: int = 200

    def __post_init__(self) -> None:
        for option in ("ipc", "seeds", "epochs"):
            if getattr(self, option) < 1:
                raise GiftError(f"--{option} must be 1 or more, not {getattr(self, option)}")


def distill(config: Quickstart, teacher: Teacher) -> DistilledSet:
    """Make the RDED set from the training digits alone."""
    split = load_split()
    distilled = rded.synthesize(split.train_images, split.train_labels, teacher, ipc=config.ipc, settings=CROPS)
    save_distilled(config.out / "rded.safetensors", distilled)
    print(f"RDED: {len(distilled.labels)} images from {len(split.train_labels)}, {config.out}/rded.safetensors\n")
    return distilled


def train_students(config: Quickstart, teacher: Teacher, distilled: DistilledSet) -> list[dict]:
    """Train a student for each loss, optimizer and seed; append each to results.jsonl."""
    evaluation_set = load_digits_test()
    (config.out / "results.jsonl").unlink(missing_ok=True)
    # The student is the teacher's architecture, as in the paper's main table.
    student = get_model(teacher.info.spec)
    official = make_recipe("gift", setting_of(distilled, student.spec.name))
    cells = []
    for loss, optimizer in itertools.product(LOSSES, OPTIMIZERS):
        recipe = dataclasses.replace(official, loss=loss, optimizer=optimizer, epochs=config.epochs)
        parts = ({"loss": loss, "optimizer": optimizer.name}, recipe, student, distilled, teacher, evaluation_set)
        cells += [Cell(*parts, seed) for seed in range(config.seeds)]
    return run_grid(cells, config.out, experiment="quickstart", jobs=at_once())


def write_report(config: Quickstart, teacher: Teacher, distilled: DistilledSet, results: list[dict]) -> tables.Grid:
    """Write report.md and heatmap.png from the results."""
    grid = tables.make_grid(results, "loss", "optimizer")
    best = tables.make_grid(results, "loss", "optimizer", "top1_best")
    tests = significance.compare(results, row="loss", column="optimizer", subject="gift")
    heading = f"Top-1 accuracy, %, mean ± std of {config.seeds} seeds"
    rates = "; ".join(
        f"{o.name}: learning rate {o.learning_rate:g}, weight decay {o.weight_decay:g}"
        + (f", momentum {o.momentum:g}" if o.name == "sgd" else "")
        for o in OPTIMIZERS
    )
    text = f"""# Losses and optimizers on a distilled set of digits

![Distilled images and accuracies](heatmap.png)

{answer.sentences(grid, tests, "gift", answer.Words("under", "optimizers"))}

{tables.markdown_table(tables.table_rows(grid, "loss"))}

After the last epoch: {heading.lower()}. {tables.describe(grid, "gift")}

## Setting

{len(distilled.labels)} RDED images ({config.ipc} per class), {teacher.info.architecture} teacher and students, \
{config.epochs} epochs of the official recipe, {len(load_split().test_labels)} test images. \
Fixed beforehand: {rates}. No setting was chosen with the test images.

## The best of {Recipe().evaluations} looks at the test images

<details><summary>Show 1 table</summary>

As the official code reports: {heading.lower()}.

{tables.markdown_table(tables.table_rows(best, "loss"))}

</details>

Each run is a line of `results.jsonl`, with its configuration, versions and device ({provenance.device()}).
"""
    write_text(config.out / "report.md", text)
    sheet = distilled.images.reshape(-1, config.ipc, *distilled.images.shape[1:3])[:, :10]
    images_title = f"The distilled set: {min(config.ipc, 10)} images per class"
    heatmap.save_heatmap(config.out / "heatmap.png", grid, title=heading, images=sheet, images_title=images_title)
    return grid


def print_table(grid: tables.Grid, title: str) -> None:
    """Print the grid to the terminal."""
    header, *body = tables.table_rows(grid, "loss")
    table = Table(*header, title=title, title_justify="left")
    for row in body:
        table.add_row(*row)
    rich.print(table)


def main(config: Quickstart) -> None:
    """Run the whole path: teacher, conversion, distillation, students, report."""
    announce()
    teacher = make_teacher(config.out)
    distilled = distill(config, teacher)
    results = train_students(config, teacher, distilled)
    grid = write_report(config, teacher, distilled, results)
    print_table(grid, f"Top-1 accuracy after the last epoch, %, mean ± std of {config.seeds} seeds")
    print(tables.describe(grid, "gift"))
    print(f"\nWritten: {config.out}/report.md, heatmap.png, results.jsonl")


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.quickstart")
