"""Find out what distilled images are worth from what their soft labels are worth.

Question: what do distilled images gain over as many random real ones once both have a teacher's labels, and what do
GIFT's labels gain over hard and other soft ones on either? Beyond the paper, which compares labels on distilled images
only; none published for GIFT. DD-Ranking (Li et al., 2025) asks the first half of it, and its scores are computed.
Command: `python -m experiments.label_quality`; on real sets with the options of `experiments.evaluate`, such as
`--dataset cifar100 --model conv3 --methods rded --epochs 1000 --train-data data/cifar100/train --data tfds`.
Time: 125 runs took 2 minutes on 2 of 4 CPU cores, with nothing compiled before.

Every student is trained by the official recipe, without augmentation too; nothing is chosen, with test images or
without, where DD-Ranking chooses a learning rate and the best epoch. Seed s trains student s, on random images on draw
s. HLR needs students of all real images with hard labels: these must fit into memory and are trained for `real_epochs`,
by default about as many steps as the others on the digits.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from gift_jax import GiftError
from gift_jax.reports import ranking
from gift_jax.reports.page import Section, Table
from gift_jax.reports.summary import ACCURACY, SUBJECT, TITLE, best_evaluations, differences, summary
from gift_jax.reports.tables import grid_table, make_grid
from gift_jax.runtime import cli
from gift_jax.runtime.options import Count, Least, Losses
from gift_jax.studies.cells import Cell

from .common.guessing import guessing
from .common.inputs import load_real
from .common.label_gains import HARD, RANDOM, WITH, WITHOUT, read_accuracies, score_section, share_section
from .common.real_images import RealImages
from .common.reporting import Row, curves, fold, only
from .common.study import Materials, Method, Study, load_materials, run_study

NAME = "label_quality"
AUGMENTATIONS = {"dsa": {}, "none": {"augment": "none"}}  # what each changes in the official recipe
ABOUT = f"{ACCURACY} `ce` takes hard labels and the others the teacher's; each seed draws its own random images."


@dataclasses.dataclass(frozen=True)
class LabelQuality(Study):
    """Distilled and random images x losses x augmentation.

    Args:
        methods: methods whose sets are compared with random images; on the digits: rded herding kmeans.
        losses: names of losses, ce among them, which takes hard labels.
        real_epochs: epochs of students of all real images; 0 leaves them out, and the label-robust score with them.
        lrs_weight: weight of IOR in the label-robust score.
        ars_weight: weight of IOR with augmentation in the augmentation-robust score.
    """

    out: Path = Path("runs/label_quality")
    num_seeds: Count = 5
    epochs: Count = 200
    methods: tuple[Method, ...] = ("rded", "kmeans")
    losses: Losses = ("ce", "softce", "kl", "gift")
    real_epochs: Annotated[int, Least(0)] = 50
    lrs_weight: float = 0.5
    ars_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if "random" in self.methods:
            raise GiftError("--methods: random images are always compared with; give the sets to compare")
        if "ce" not in self.losses:
            raise GiftError("--losses must hold ce, the hard labels")
        ranking.label_robust_score(0.0, 0.0, weight=self.lrs_weight)
        ranking.augmentation_robust_score(0.0, 0.0, weight=self.ars_weight)


def with_random(config: LabelQuality, materials: Materials, real: RealImages) -> Materials:
    """The materials with a set `random` of each seed, under the name `random-SEED`. Raises: GiftError."""
    materials.labelling_teacher()
    draws = {f"random-{seed}": real.draw(config.ipc, seed) for seed in config.seeds}
    return materials._replace(sets={**materials.sets, **draws})


def make_cells(config: LabelQuality, materials: Materials) -> Iterator[Cell]:
    """Every loss on every set with and without augmentation; sets of one size share a loss's compiled step."""
    for loss, name, images in itertools.product(config.losses, AUGMENTATIONS, (*config.methods, "random")):
        labels = {"images": images, "loss": loss, "augmentation": name}
        yield from materials.cells(config, labels, images, loss=loss, **AUGMENTATIONS[name])


def make_real_cells(config: LabelQuality, materials: Materials, real: RealImages) -> Iterator[Cell]:
    """Students of all real images with hard labels, for HLR."""
    if config.real_epochs:
        everything = materials._replace(sets={"real": real.everything()})
        labels = {"reference": "all real images, hard labels"}
        yield from everything.cells(config, labels, "real", loss="ce", epochs=config.real_epochs, batch_size=None)


def make_sections(rows: Sequence[Row], *, lrs_weight: float = 0.5, ars_weight: float = 0.5) -> list[Section]:
    """Accuracies, shares, scores and differences. Args: weights of the scores, see `ranking`."""
    placed = [row for row in rows if "images" in row["labels"]]
    augmented, plain = (only(placed, augmentation=name) for name in (WITH, WITHOUT))
    if not augmented:
        return [Section(TITLE, ["No student with augmentation finished."])]
    chance, accuracies = guessing(rows), read_accuracies(rows)
    names = {axis: list(dict.fromkeys(row["labels"][axis] for row in placed)) for axis in ("images", "loss")}
    methods = [name for name in names["images"] if name != RANDOM]
    soft = [name for name in names["loss"] if name != HARD]
    axes = {"row": "loss", "column": "images", "guessing": chance}
    sections = [
        summary(augmented, **axes, subject=SUBJECT, note=ABOUT),
        *best_evaluations(augmented, **axes),
        share_section(accuracies, methods, soft),
        score_section(accuracies, methods, names["loss"], lrs_weight, ars_weight),
        *fold("Differences", _differences(augmented, methods, chance)),
    ]
    if plain:
        grid = make_grid(plain, "loss", "images", guessing=chance)
        blocks = [grid_table(grid, "loss"), *_differences(plain, methods, chance)]
        sections.append(Section("Without augmentation", blocks, folded=True))
    first = names["images"][0]
    return [*sections, *curves(only(augmented, images=first), "loss", f"Images: {first}")]


def _differences(rows: Sequence[Row], methods: Sequence[str], chance: float) -> list[Table]:
    """GIFT against the other losses, and each set against random images."""
    found = differences(rows, "loss", "images", SUBJECT, guessing=chance)
    for method in methods:
        pair = [row for row in rows if row["labels"]["images"] in (method, RANDOM)]
        found += differences(pair, "images", "loss", method, guessing=chance)
    return found


def main(config: LabelQuality) -> None:
    """Run the study."""
    materials = load_materials(config, config.methods)
    real = load_real(config, materials.student.spec.image_size)
    materials = with_random(config, materials, real)
    cells = [*make_cells(config, materials), *make_real_cells(config, materials, real)]
    sections = functools.partial(make_sections, lrs_weight=config.lrs_weight, ars_weight=config.ars_weight)
    shown = {name: distilled for name, distilled in materials.sets.items() if name in (*config.methods, "random-0")}
    run_study(config, NAME, materials._replace(sets=shown), cells, sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
