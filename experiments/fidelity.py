"""Measure what each deviation from the official code does to accuracy, in pairs.

Question: docs/fidelity.md lists where this differs from the official code; which of these differences can be seen?
(Beyond the paper.)
Command: `python -m experiments.fidelity`; on the digits only, for some sets are made anew.
Time: 220 runs took 3 min 56 s on 2 of 4 CPU cores, with nothing compiled before and tests on the other two.

Both sides of a pair have everything else equal, seeds too. What has no switch and cannot be put together from public
pieces is not here; docs/fidelity.md says why.
"""

import dataclasses
import functools
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from gift_jax import DistilledSet, GiftError, rded
from gift_jax.data.datasets import Normalisation
from gift_jax.data.evaluation import whiten
from gift_jax.data.network_input import to_input
from gift_jax.data.zca import fit_zca
from gift_jax.errors import unknown_name
from gift_jax.optim import Optimizer
from gift_jax.pixels.crops import random_boxes, resized_box, resized_box_bytes
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Section, Table
from gift_jax.reports.summary import ACCURACY, TESTED, TITLE, what_was_run
from gift_jax.reports.tables import Grid, make_grid, summarize
from gift_jax.runtime import cli
from gift_jax.runtime.options import Count
from gift_jax.studies.cells import Cell
from gift_jax.teachers.teacher import make_teacher

from .common.guessing import guessing
from .common.real_images import training_digits
from .common.reporting import Row, curves, only
from .common.set_making import CROPS, SEED
from .common.study import Materials, Study, load_materials, run_study

NAME = "fidelity"
METHOD = "rded"
SGD = Optimizer("sgd", 0.1, 1e-4)  # torchvision's reference
EVERY_EPOCH = 10**6  # more evaluations than any run here has epochs


@dataclasses.dataclass(frozen=True)
class Fidelity(Study):
    """The official behaviour against ours.

    Args:
        deviations: names of deviations; all of them if none is given.
    """

    out: Path = Path("runs/fidelity")
    num_seeds: Count = 10
    epochs: Count = 200
    deviations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset != "digits":
            raise GiftError(f"--dataset: deviations are measured on the digits only, not on {self.dataset}")
        if unknown := set(self.deviations) - set(DEVIATIONS):
            raise unknown_name("--deviations:", min(unknown), DEVIATIONS)


def replaced(materials: Materials, **changes: Any) -> Materials:
    """The materials with these fields of the set changed."""
    return materials._replace(sets={METHOD: dataclasses.replace(materials.sets[METHOD], **changes)})


def as_jpeg(materials: Materials) -> Materials:
    """The set after JPEG, as RDED's authors store theirs."""

    def stored(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image[:, :, 0]).save(file, "JPEG")
        return np.asarray(Image.open(file))[:, :, None]

    return replaced(materials, images=np.stack([stored(image) for image in materials.sets[METHOD].images]))


def synthesized(materials: Materials, settings: rded.RDED, times: int = 1) -> DistilledSet:
    """An RDED set of the real training digits, of so many times the images a class."""
    ipc = times * materials.sets[METHOD].ipc
    real, teacher = training_digits(), materials.labelling_teacher()
    return rded.synthesize(real.images, real.labels, teacher, ipc=ipc, settings=settings, seed=SEED)


def of_small_crops(materials: Materials) -> Materials:
    """An RDED set with the authors' smallest crop, 8 % of the image."""
    return materials._replace(sets={METHOD: synthesized(materials, rded.RDED())})


def cropped(materials: Materials, pixels: str) -> Materials:
    """A random crop of each image, resized as `8 bits`, as Pillow does, or as floats, `whole` and `cut` to levels."""
    images = jnp.asarray(materials.sets[METHOD].images)
    size = images.shape[1]
    boxes = random_boxes(jax.random.key(SEED), len(images), size, CROPS.smallest_area)
    if pixels == "8 bits":
        return replaced(materials, images=np.asarray(resized_box_bytes(images, *boxes, size)))
    floats = np.asarray(jnp.clip(resized_box(images.astype(jnp.float32) / 255, *boxes, size), 0, 1))
    levels = {"floats": floats, "whole": np.rint(255 * floats), "cut": np.floor(255 * floats)}[pixels]
    return replaced(materials, images=levels if pixels == "floats" else levels.astype(np.uint8))


def first_half(materials: Materials, *, by_name: bool = True) -> Materials:
    """Half of a set of twice the images: the first by name, or in an order such as a directory's, of hashed names."""
    double = synthesized(materials, CROPS, times=2)
    names = [f"class{label:05d}_id{index:05d}.jpg" for index, label in enumerate(double.labels)]
    keys = names if by_name else [hashlib.sha256(name.encode()).hexdigest() for name in names]
    ipc = materials.sets[METHOD].ipc
    rows = [sorted(np.flatnonzero(double.labels == label), key=keys.__getitem__)[:ipc] for label in range(10)]
    chosen = np.concatenate(rows)
    return replaced(materials, images=double.images[chosen], labels=double.labels[chosen])


def with_one_hot(materials: Materials) -> Materials:
    """The set with its hard labels in the place of the teacher's logits."""
    distilled = materials.sets[METHOD]
    return replaced(materials, soft_labels=np.eye(distilled.num_classes, dtype=np.float32)[distilled.labels])


def with_logits(materials: Materials, *, disordered: bool = False) -> Materials:
    """The set with the teacher's logits of its images, stored in their order or in that of another set."""
    images, teacher = jnp.asarray(materials.sets[METHOD].images), materials.labelling_teacher()
    logits = np.asarray(teacher.logits(to_input(images, "raw", teacher.info.normalisation)))
    order = np.random.default_rng(SEED).permutation(len(logits)) if disordered else np.arange(len(logits))
    return replaced(materials, soft_labels=logits[order])


def whitened(materials: Materials, *, normalised: bool = False) -> Materials:
    """Set and test images whitened as DATM's are, the set normalised by the dataset's statistics too, or not."""
    zca, labelled = fit_zca([training_digits().images]), with_logits(materials)
    images = zca.whiten(labelled.sets[METHOD].images)
    if normalised:
        statistics = materials.labelling_teacher().info.normalisation
        images = (images - np.float32(statistics.mean)) / np.float32(statistics.std)
    evaluation_set = whiten(materials.evaluation_set, zca)
    return replaced(labelled, images=images, pixel_space="zca")._replace(evaluation_set=evaluation_set)


def with_untrained_teacher(materials: Materials) -> Materials:
    """A teacher of random weights, as a loader leaves it that forgets the file."""
    weights = materials.student.init(jax.random.key(SEED))
    return materials._replace(teacher=make_teacher(materials.labelling_teacher().info, *weights))


Change = Callable[[Materials], Materials]


class Deviation(NamedTuple):
    """What either side changes, in the recipe's fields or in the materials, and the recipe's fields that both share.

    A set that stores soft labels is trained without the teacher.
    """

    official: Mapping[str, Any] | Change | None = None
    ours: Mapping[str, Any] | Change | None = None
    shared: Mapping[str, Any] = {}


# docs/fidelity.md describes both behaviours.
DEVIATIONS: Mapping[str, Deviation] = {
    "convex labels": Deviation(
        {"loss_options": (("form", "convex"),)},
        shared={"evaluations": EVERY_EPOCH},  # for "Ways of reporting" below
    ),
    "KL without T^2, SGD": Deviation(
        ours={"loss_options": (("t_squared", True),)}, shared={"loss": "kl", "optimizer": SGD}
    ),
    "CutMix by one label": Deviation(
        {"mix_labels": False}, shared={"loss": "mse_ce", "mix": "cutmix", "optimizer": SGD}
    ),
    "other statistics": Deviation({"normalisation": Normalisation((0.5,), (0.5,))}),
    "one-hot targets": Deviation(with_one_hot, {"loss": "ce"}),
    "stored labels of another order": Deviation(functools.partial(with_logits, disordered=True), with_logits),
    "untrained teacher": Deviation(with_untrained_teacher),
    "whitened and normalised": Deviation(functools.partial(whitened, normalised=True), whitened),
    "crops in 8 bits": Deviation(
        functools.partial(cropped, pixels="8 bits"), functools.partial(cropped, pixels="floats")
    ),
    "order of the directory": Deviation(functools.partial(first_half, by_name=False), first_half),
    "truncated pixels": Deviation(functools.partial(cropped, pixels="cut"), functools.partial(cropped, pixels="whole")),
    "JPEG": Deviation(as_jpeg),
    "small crops": Deviation(of_small_crops),
}


def make_cells(config: Fidelity, materials: Materials) -> Iterator[Cell]:
    """Both sides of every pair; sides that are equal between pairs are run once."""
    for name in config.deviations or DEVIATIONS:
        deviation = DEVIATIONS[name]
        for side, own in (("official", deviation.official), ("ours", deviation.ours)):
            changed, changes = (own(materials), {}) if callable(own) else (materials, own or {})
            recipe = {"evaluations": 4, **deviation.shared, **changes}
            yield from changed.cells(config, {"deviation": name, "side": side}, METHOD, **recipe)


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The pairs, and what the ways of reporting do."""
    rows = sorted(rows, key=lambda row: [*DEVIATIONS].index(row["labels"]["deviation"]))
    chance = guessing(rows)
    grid = make_grid(rows, "side", "deviation", guessing=chance)
    about, title = what_was_run(rows), "The official behaviour and ours"
    picture = pictures.points("summary", {"": grid}, title, about=about, sideways=True)
    note = f"{ACCURACY} {TESTED} `docs/fidelity.md` describes the deviations."
    return [
        Section(TITLE, [about, picture, pairs(rows, grid, chance), note]),
        Section("Ways of reporting", [ABOUT_WAYS, reporting(rows)], folded=True),
        *curves(only(rows, deviation=grid.columns[0]), "side", grid.columns[0]),
    ]


def pairs(rows: Sequence[Row], grid: Grid, chance: float) -> Table:
    """Both sides' accuracies, and their difference where both were run."""
    tests = significance.compare(rows, row="side", column="deviation", subject="ours", guessing=chance)
    found = {test.column: test for test in tests}
    body = []
    for name in grid.columns:
        test, both = found.get(name), [str(grid.cell(side, name)) for side in ("official", "ours")]
        body.append([name, *both, significance.starred(test) if test else "-"])
    return Table([[f"deviation ({grid.n})", "official", "ours", "ours - official"], *body])


def spread_epochs(first: float, last: float, count: int) -> list[int]:
    """So many epochs, evenly spread after the first, of which the last is one."""
    return [round(first + (last - first) * (index + 1) / count) for index in range(count)]


# The epochs whose evaluations the best is taken of.
WAYS: Mapping[str, Callable[[int], list[int]]] = {
    "best of 4": lambda epochs: [*filter(Recipe(epochs=epochs).is_evaluated, range(1, epochs + 1))],
    "of 6, last fifth": lambda epochs: spread_epochs(0.8 * epochs, epochs, 6),
    "of 1 in 10": lambda epochs: spread_epochs(0, epochs, max(epochs // 10, 1)),
    "of all": lambda epochs: spread_epochs(0, epochs, epochs),
}
ABOUT_WAYS = (
    "Points that the best of several evaluations on the test images adds to the last one: of 4 in GIFT's code, of 6 in "
    "the last fifth of the training in RDED's, of one in ten epochs in SRe2L's and G-VBSM's, of all epochs in SRe2L's "
    "for Tiny-ImageNet. A dash means that not all of these evaluations were made."
)


def reporting(rows: Sequence[Row]) -> Table:
    """What the best of the evaluations, and the population's standard deviation, make of our side's runs."""
    settings: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in only(rows, side="ours"):
        if "failed" not in row:
            options = "".join(f", {name}" for name, value in row["recipe"]["loss_options"] if value is True)
            settings[f"{row['loss']}{options}, {row['optimizer']}"].setdefault(row["seed"], row)
    body = []
    for name, by_seed in settings.items():
        runs = [*by_seed.values()]
        last = [run["top1_last"] for run in runs]
        gained = [_gained(runs, way(runs[0]["epochs"])) for way in WAYS.values()]
        spreads = [f"{np.std(last, ddof=ddof):.2f}" if len(last) > 1 else "-" for ddof in (1, 0)]
        body.append([name, str(len(runs)), str(summarize(last)), *gained, *spreads])
    return Table([["our side", "n", "last, %", *WAYS, "std, ddof 1", "std, ddof 0"], *body])


def _gained(runs: Sequence[Row], epochs: Sequence[int]) -> str:
    """The best accuracy after these epochs minus the last, or a dash if runs were not tested after all of them."""
    gains = []
    for run in runs:
        history = {evaluation["epoch"]: evaluation["top1"] for evaluation in run["history"]}
        if not history.keys() >= set(epochs):
            return "-"
        gains.append(max(history[epoch] for epoch in epochs) - run["top1_last"])
    return summarize(gains).text("+.1f")


def main(config: Fidelity) -> None:
    """Run the study."""
    materials = load_materials(config, [METHOD])._replace(validation_set=None)
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
