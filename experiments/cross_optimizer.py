"""Compare losses under eleven optimizers, at default and at tuned learning rates.

Question: the paper reports that GIFT carries over to other optimizers where other losses do not (GIFT, ICLR 2025: on
ImageNet-1K at 10 images a class by 30.8 points over RDED's KL). How much of that is the rate's?
Command: `python -m experiments.cross_optimizer`; on real sets with the options of `experiments.evaluate`, such as
`--dataset cifar100 --model conv3 --method rded --epochs 1000 --train-data data/cifar100/train --data tfds`.
Time: 660 runs took 4 min 36 s on 2 of 4 CPU cores, with nothing compiled before.

`kl_t2` is the control: KL at T = 20 without the factor T^2, as the official code has it, has gradients hundreds of
times smaller than GIFT's; the factor gives them back. Rates are chosen by accuracy on real training images of which
no set is made, never on test images; the teacher has seen these in its own training.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from gift_jax.optim import COMPARED, compared
from gift_jax.reports.page import Section
from gift_jax.runtime import cli
from gift_jax.runtime.options import ComparedName
from gift_jax.studies.cells import Cell

from .common import rate_views
from .common.rates import RateStudy, at_rate, loss_changes
from .common.reporting import Row, optimizer_settings
from .common.study import Materials, load_materials, run_study

NAME = "cross_optimizer"


@dataclasses.dataclass(frozen=True)
class CrossOptimizer(RateStudy):
    """Losses x optimizers x learning rates.

    Args:
        optimizers: names in `gift_jax.optim.COMPARED`.
    """

    out: Path = Path("runs/cross_optimizer")
    optimizers: tuple[ComparedName, ...] = tuple(COMPARED)
    rates: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)


def make_cells(config: CrossOptimizer, materials: Materials) -> Iterator[Cell]:
    """Rates innermost but for seeds: they share a compiled step."""
    for loss, name, rate in itertools.product(config.losses, config.optimizers, sorted(config.rates)):
        optimizer, _, schedule = compared(name)
        labels = {"loss": loss, "optimizer": name, "rate": f"{rate:g}"}
        changes = {"optimizer": at_rate(optimizer, rate), "schedule": schedule, **loss_changes(loss)}
        yield from materials.cells(config, labels, config.method, **changes)


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """Three views of the learning rate, and the default settings."""
    return [*rate_views.make_sections(rows, "optimizer"), optimizer_settings(rows)]


def main(config: CrossOptimizer) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
