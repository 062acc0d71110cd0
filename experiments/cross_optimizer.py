"""Which losses work under which optimizers, and what remains of that when the learning rate is chosen.

Question: the paper reports that GIFT carries over to other optimizers where other losses do not (GIFT, ICLR 2025: on
ImageNet-1K at 10 images a class by 30.8 points over RDED's KL). How much of that is the rate's?
Command: `python -m experiments.cross_optimizer`; on real sets with the options of `experiments.evaluate`, such as
`--dataset cifar100 --model conv3 --methods rded --epochs 1000 --train-data data/cifar100/train --data tfds`.
Time: 495 runs took 13 minutes on 2 of 4 CPU cores that other work shared (load 5 to 17), half of it compilation of the
55 steps, which are kept for the next time.

Each loss is trained under each optimizer at its customary rate (`experiments.optimizers`) and at multiples of it.
`kl_t2` is the control: KL at T = 20 without the factor T^2, as the official code has it, has gradients hundreds of
times smaller than GIFT's; the factor gives them back. Rates are chosen by accuracy on real training images of which
no set is made, never on test images; the teacher has seen these in its own training.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from experiments.optimizers import CUSTOMARY, customary
from experiments.studies import Materials, Study, load_materials, run_study
from experiments.views import make_sections
from gift_jax import GiftError, cli
from gift_jax.cells import Cell
from gift_jax.losses import LOSSES

NAME = "cross_optimizer"
SQUARED = "kl_t2"  # KL times T^2


@dataclasses.dataclass(frozen=True)
class CrossOptimizer(Study):
    """Losses x optimizers x learning rates."""

    out: Path = Path("runs/cross_optimizer")
    # Method of the set.
    method: str = "rded"
    # Names of losses, or kl_t2.
    losses: tuple[str, ...] = ("kl", SQUARED, "softce", "mse_ce", "gift")
    # Names in `experiments.optimizers`.
    optimizers: tuple[str, ...] = tuple(CUSTOMARY)
    # Multiples of the customary learning rate, 1 among them.
    rates: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 1.0 not in self.rates or min(self.rates) <= 0:
            raise GiftError("--rates must be above 0 and hold 1, the customary rate")
        if unknown := set(self.losses) - {*LOSSES, SQUARED}:
            raise GiftError(f"--losses: {min(unknown)!r} is unknown; choose of {', '.join([*LOSSES, SQUARED])}")


def loss_changes(name: str) -> dict:
    """A loss by its name here, as fields of a recipe."""
    return {"loss": "kl", "loss_options": (("t_squared", True),)} if name == SQUARED else {"loss": name}


def make_cells(config: CrossOptimizer, materials: Materials) -> list[Cell]:
    """Rates innermost but for seeds: they share a compiled step."""
    cells = []
    for loss in config.losses:
        for name in config.optimizers:
            optimizer, _, schedule = customary(name)
            for rate in sorted(config.rates):
                learning_rate = float(f"{optimizer.learning_rate * rate:.6g}")
                at_rate = dataclasses.replace(optimizer, learning_rate=learning_rate)
                changes = {"optimizer": at_rate, "schedule": schedule, **loss_changes(loss)}
                recipe = materials.recipe(config.method, config, **changes)
                labels = {"loss": loss, "optimizer": name, "rate": f"{rate:g}"}
                cells += [materials.cell(labels, config.method, recipe, seed) for seed in range(config.seeds)]
    return cells


def main(config: Annotated[CrossOptimizer, tyro.conf.arg(name="")]) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
