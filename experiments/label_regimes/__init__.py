"""Find out whether soft labels make evaluations of distilled sets meaningless: one set under each kind of label.

Question: does a distilled set, beside as many real images that are drawn at random or kept by pruning, still stand out
once labels are soft, and what do labels buy for their bytes? Xiao et al. (2025, arXiv 2502.06434) ask the first half
of it of ImageNet-1K, under hard labels and a live teacher.
Command: `python -m experiments.label_regimes`; on real sets with the options of `experiments.evaluate`, such as
`--dataset cifar100 --model conv3 --method rded --epochs 1000 --train-data data/cifar100/train --data tfds`.

Primary comparison, written down before any run: with the GIFT loss and a bank of labels, top-1 accuracy after the last
epoch of the distilled set minus that of random real images, paired by seed (two-sided t-test at 5 %, and the difference
with its 95 % interval). At equal images it is at equal steps and equal label bytes too. All else is secondary: the same
difference under the other labels and losses, and the set against each pruned set, corrected together by Holm's method.

docs/studies.md describes the kinds of labels, all by one teacher, and their bytes. Crops, which are mirrored where the
dataset allows it, are drawn again from their seed and count nothing, nor do the images' own bytes, which favours hard
labels. Seed s trains student s, on random images, crops and stored labels of draw s; pruned sets are chosen once for
all seeds. Students are trained by the official recipe but for the crops; nothing is chosen, on test images or others.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax

from gift_jax import DistilledSet, GiftError
from gift_jax.data.datasets import get_dataset
from gift_jax.recipes.hald import soft_hard_soft
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.options import Count, Loss, Losses
from gift_jax.studies.cells import Cell
from gift_jax.task import Task
from gift_jax.training.normalising import renormalise
from gift_jax.training.train import Run

from ..common.inputs import load_real, usual_spec
from ..common.real_images import RealImages
from ..common.students import parse_student
from ..common.study import Materials, Method, Study, load_materials, run_study
from .pruned_images import Pruned, load_pruned, parse_file
from .relabel import MadeLabels, make_labels
from .views import ALL, HARD, LIVE, MIDDLE, MORE, RANDOM, make_sections

NAME = "label_regimes"
Regime = Literal["one", "few", "bank", "live"]
Subset = Literal["forgetting", "el2n", "aum", "ccs"]


@dataclasses.dataclass(frozen=True)
class LabelRegimes(Study):
    """A distilled set, random and pruned real images x kinds of labels x losses.

    Args:
        method: method of the distilled set.
        regimes: kinds of soft labels; hard ones are always among them.
        losses: names of losses of soft labels.
        hard_middle: names of losses that are run soft-hard-soft, in rows named LOSS_soft_hard_soft.
        subsets: methods that choose real images from a training on all of them, which must fit into memory.
        indices: NAME=FILE, real images that were chosen elsewhere: rows of the training images, most wanted first, as a
            .npy or as text with one a line.
        views: stored crops of each image under `few`.
        smallest_crop: least share of an image's area that a crop keeps; 0.08 is usual for photographs.
        score_epochs: epochs of the network that scores real images.
        student: the students' architecture, such as conv3:width=32, if not the teacher's.
        looks: how often each student is tested, evenly spread, the last time at the end.
        more_images: also train on as many real images with hard labels as label bytes buy.
    """

    out: Path = Path("runs/label_regimes")
    num_seeds: Count = 5
    epochs: Count = 200
    method: Method = "rded"
    regimes: tuple[Regime, ...] = ("one", "few", "bank", "live")
    losses: Losses = ("gift", "kl")
    hard_middle: tuple[Loss, ...] = ("kl",)
    subsets: tuple[Subset, ...] = ("forgetting", "el2n", "aum", "ccs")
    indices: tuple[str, ...] = ()
    views: Count = 10
    smallest_crop: float = 0.5
    score_epochs: Count = 40
    student: str | None = None
    looks: Count = 4
    more_images: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == RANDOM:
            raise GiftError("--method: random images are always compared with; give the set to compare")
        if not self.regimes or not self.losses or "ce" in (*self.losses, *self.hard_middle):
            raise GiftError(
                "--regimes, --losses and --hard-middle must name soft labels and losses of them; ce is run anyway"
            )
        if self.method in dict(map(parse_file, self.indices)):
            raise GiftError(f"--indices: {self.method!r} is the distilled set (--method); choose a different name")
        Recipe(smallest_crop=self.smallest_crop)
        if self.student:
            parse_student(self.student, usual_spec(self))


class RegimeCell(Cell):
    """A cell whose row also says how many images and bytes of labels it was trained with."""

    @property
    def label_bytes(self) -> int:
        """Bytes of class ids, of stored logits, or of a live teacher's weights, BatchNorm folded."""
        if isinstance(self.task.soft_labels, MadeLabels):
            return self.task.soft_labels.label_bytes
        if self.task.teacher is not None:
            return sum(leaf.nbytes for leaf in jax.tree.leaves(self.task.teacher.params))
        return len(self.task.distilled.labels) * id_bytes(self.task.distilled.num_classes)

    def measure(self, run: Run) -> dict[str, Any]:
        """Adds `label_bytes` and `num_images`."""
        return {**super().measure(run), "label_bytes": self.label_bytes, "num_images": len(self.task.distilled.labels)}


def id_bytes(num_classes: int) -> int:
    """Bytes of a class id."""
    return 1 if num_classes <= 2**8 else 2


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What makes the cells: options, materials with random images of each seed among the sets, and kinds of images."""

    config: LabelRegimes
    materials: Materials
    kinds: tuple[str, ...]

    @property
    def soft_recipes(self) -> dict[str, Recipe]:
        """Recipes of soft labels, by the loss's name in the results."""
        whole = {loss: self.recipe(loss) for loss in self.config.losses}
        return whole | {f"{loss}{MIDDLE}": soft_hard_soft(self.recipe(loss)) for loss in self.config.hard_middle}

    def recipe(self, loss: str) -> Recipe:
        """The official recipe with crops, the same steps for every set."""
        config, materials = self.config, self.materials
        flips, count = get_dataset(config.dataset).mirrors, len(materials.sets[config.method].labels)
        changes = {"augment": "flip" if flips else "none", "smallest_crop": config.smallest_crop}
        recipe = materials.recipe(config.method, config, loss=loss, evaluations=config.looks, **changes)
        normalisation = materials.labelling_teacher().info.normalisation
        return dataclasses.replace(recipe, batch_size=recipe.resolve_batch_size(count), normalisation=normalisation)

    def cell(
        self, labels: Mapping[str, str], distilled: DistilledSet, recipe: Recipe, seed: int, **source: Any
    ) -> RegimeCell:
        """One student, with hard labels unless the source of others is a `teacher` or stored `soft_labels`."""
        task = Task(recipe, self.materials.student, distilled, test_set=self.materials.evaluation_set, **source)
        return RegimeCell(labels, task, seed)

    def soft(self) -> Iterator[RegimeCell]:
        """Every kind of soft labels and loss on every kind of images; losses share what is stored."""
        few, teacher = min(self.config.views, self.config.epochs), self.materials.labelling_teacher()
        views: dict[str, dict[str, Any]] = {"one": {"whole": True}, "few": {"views": few}, "bank": {}}
        stored: dict[tuple[str, str, int], MadeLabels] = {}
        recipes, seeds = self.soft_recipes, self.config.seeds
        for regime, loss, kind, seed in itertools.product(self.config.regimes, recipes, self.kinds, seeds):
            distilled, recipe, key = self.materials.set_of(kind, seed), recipes[loss], (regime, kind, seed)
            if regime != LIVE and key not in stored:
                stored[key] = make_labels(distilled, teacher, recipe, seed=seed, **views[regime])
            source = {"teacher": teacher} if regime == LIVE else {"soft_labels": stored[key]}
            yield self.cell({"images": kind, "labels": f"{regime}, {loss}"}, distilled, recipe, seed, **source)

    def hard(self) -> Iterator[RegimeCell]:
        """Hard labels on every kind of images."""
        for kind, seed in itertools.product(self.kinds, self.config.seeds):
            distilled = self.materials.set_of(kind, seed)
            yield self.cell({"images": kind, "labels": HARD}, distilled, self.recipe("ce"), seed)

    def more(self, real: RealImages, pruned: Pruned, budgets: set[int]) -> Iterator[RegimeCell]:
        """Real images with hard labels, as many as the bytes of a budget buy, in as many steps as all others."""
        distilled, recipe = self.materials.sets[self.config.method], self.recipe("ce")
        steps = -(-len(distilled.labels) // recipe.resolve_batch_size(len(distilled.labels)))
        recipe, classes = dataclasses.replace(recipe, max_steps=steps), distilled.num_classes
        counts = sorted({budget // (classes * id_bytes(classes)) for budget in budgets})
        for ipc in (count for count in counts if self.config.ipc < count < real.smallest):
            chosen = {name: pruned.choose(name, ipc) for name in pruned.scored}
            for kind, seed in itertools.product((RANDOM, *pruned.scored), self.config.seeds):
                images = real.draw(ipc, seed) if kind == RANDOM else chosen[kind]
                yield self.cell({"images": kind, MORE: str(ipc * classes)}, images, recipe, seed)
        if counts[-1] >= real.smallest:
            everything = real.everything()
            for seed in self.config.seeds:
                yield self.cell({ALL: str(len(everything.labels))}, everything, recipe, seed)


def gather(config: LabelRegimes, materials: Materials, real: RealImages, pruned: Pruned) -> Gathered:
    """Bring the sets together, in one normalisation. Raises: GiftError if there is no teacher of raw images."""
    distilled = renormalise(materials.sets[config.method], materials.labelling_teacher().info.normalisation)
    drawn = {f"{RANDOM}-{seed}": real.draw(config.ipc, seed) for seed in config.seeds}
    chosen = {name: pruned.choose(name, config.ipc) for name in pruned.names}
    sets = {config.method: distilled, **drawn, **chosen}
    return Gathered(config, materials._replace(sets=sets), (config.method, RANDOM, *pruned.names))


def make_cells(gathered: Gathered, real: RealImages, pruned: Pruned) -> list[Cell]:
    """All cells: hard labels, soft ones, and more images."""
    soft = list(gathered.soft())
    budgets = {cell.label_bytes for cell in soft if cell.task.soft_labels is not None}
    more = gathered.more(real, pruned, budgets) if gathered.config.more_images and budgets else ()
    return [*gathered.hard(), *soft, *more]


def main(config: LabelRegimes) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    teacher = materials.labelling_teacher()
    if config.student:
        materials = materials._replace(students={config.method: parse_student(config.student, teacher.info.spec)})
    real = load_real(config, materials.student.spec.image_size)
    real = real.held() if config.subsets or config.more_images else real
    pruned = load_pruned(config.out, materials.student, real, config.subsets, config.indices, config.score_epochs)
    gathered = gather(config, materials, real, pruned)
    cells = make_cells(gathered, real, pruned)
    shown = {name: found for name, found in gathered.materials.sets.items() if name in (*gathered.kinds, f"{RANDOM}-0")}
    run_study(config, NAME, materials._replace(sets=shown), cells, make_sections)
