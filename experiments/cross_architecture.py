"""Train many architectures on one set under one teacher, with each loss.

Question: does GIFT help students of another architecture than the set was made with? (GIFT, ICLR 2025; its table of
architectures is not known here.)
Command: `python -m experiments.cross_architecture`; on real sets with the options of `experiments.evaluate`, such as
`--dataset cifar100 --model conv3 --students conv3 resnet18_modified vgg11 mobilenet_v2 --epochs 1000 --data tfds`.
Time: 360 runs took 4 minutes on 2 of 4 CPU cores, with nothing compiled before.

Options of a student that are not given are the teacher's where both are of one family. Each student is trained at the
official learning rate and at multiples of it, of which one is chosen as in `experiments.cross_optimizer`.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

from gift_jax.runtime import cli
from gift_jax.studies.cells import Cell

from .common import rate_views
from .common.inputs import usual_spec
from .common.rates import RateStudy, at_rate, loss_changes
from .common.reporting import MakeSections
from .common.students import parse_student
from .common.study import Materials, load_materials, run_study

NAME = "cross_architecture"


@dataclasses.dataclass(frozen=True)
class CrossArchitecture(RateStudy):
    """Students x losses on one set.

    Args:
        students: architectures, with options after a colon: conv2:norm=instance,width=64.
    """

    out: Path = Path("runs/cross_architecture")
    students: tuple[str, ...] = (
        *("conv2", "conv1", "conv3", "conv2:width=8", "conv2:width=64"),
        *("conv2:norm=instance", "conv2:norm=layer", "conv2:norm=none"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in self.students:
            parse_student(text, usual_spec(self))


def make_cells(config: CrossArchitecture, materials: Materials) -> Iterator[Cell]:
    """Every student under every loss; rates innermost but for seeds, for they share a compiled step."""
    for text in config.students:
        student = parse_student(text, materials.student.spec)
        optimizer = materials.recipe(config.method, config, student).optimizer
        for loss, rate in itertools.product(config.losses, sorted(config.rates)):
            labels = {"student": text, "loss": loss, "rate": f"{rate:g}"}
            changes = {"optimizer": at_rate(optimizer, rate), **loss_changes(loss)}
            yield from materials.cells(config, labels, config.method, student, **changes)


make_sections: MakeSections = functools.partial(rate_views.make_sections, column="student")


def main(config: CrossArchitecture) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
