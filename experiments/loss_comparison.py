"""Train on every distilled set with each of the eight losses.

Question: does the GIFT loss beat each method's own loss on its own set? (GIFT, ICLR 2025, Figure 1.)
Command: `python -m experiments.loss_comparison`; on real sets as `experiments.evaluate`, such as
`--dataset tinyimagenet --model conv4 --methods sre2l rded gvbsm --epochs 1000 --data tfds`.
Time: 160 runs took 2 min 27 s on 2 of 4 CPU cores, with nothing compiled before.
Paper, top-1 % at 10 images a class (read off its Figure 1), GIFT against the method's own loss: Tiny-ImageNet SRe2L
37.5 against 34.5 (KL), DATM 27.5 against 26.5 (soft CE), RDED 44.0 against 41.4 (KL), G-VBSM 36.9 against 34.5
(MSE+CE); ImageNet-1K SRe2L 14.2 against 12.5, RDED 24.0 against 20.1, G-VBSM 24.3 against 22.6.

On the digits the methods are ways of making a set that need no download. Nothing is chosen with test images.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

from gift_jax.losses import LOSSES
from gift_jax.runtime import cli
from gift_jax.runtime.options import Count, Losses
from gift_jax.studies.cells import Cell

from .common.reporting import MakeSections, two_axes
from .common.study import Materials, Method, Study, load_materials, run_study

NAME = "loss_comparison"


@dataclasses.dataclass(frozen=True)
class LossComparison(Study):
    """Methods x losses.

    Args:
        methods: methods whose sets are trained on; on the digits: rded random herding kmeans.
        losses: names of losses.
    """

    out: Path = Path("runs/loss_comparison")
    num_seeds: Count = 5
    epochs: Count = 200
    methods: tuple[Method, ...] = ("rded", "random", "herding", "kmeans")
    losses: Losses = tuple(LOSSES)


def make_cells(config: LossComparison, materials: Materials) -> Iterator[Cell]:
    """Every loss on every set; sets of one size share a loss's compiled step, so the loss is the outer axis."""
    for loss, method in itertools.product(config.losses, config.methods):
        yield from materials.cells(config, {"method": method, "loss": loss}, method, loss=loss)


# The paper's Figure 1 from our results.
make_sections: MakeSections = functools.partial(two_axes, row="loss", column="method")


def main(config: LossComparison) -> None:
    """Run the study."""
    materials = load_materials(config, config.methods)
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
