"""What is reported of labels and images: accuracies, whose the gain is, DD-Ranking's scores."""

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from gift_jax.reports import answer, pictures, significance
from gift_jax.reports.page import Block, Section
from gift_jax.reports.tables import Grid, make_grid

from ..common.label_gains import HARD, RANDOM, WITH, WITHOUT, Accuracies, read_accuracies, score_section, share_section
from ..common.reporting import SPREAD, Row, curves, guessing, only, table

SUBJECT = "gift"


def make_sections(rows: Sequence[Row], *, lrs_weight: float = 0.5, ars_weight: float = 0.5) -> list[Section]:
    """Accuracies, shares, scores, and what of it is more than noise. Args: weights of the scores, see `ranking`."""
    placed = [row for row in rows if "images" in row["labels"]]
    if not any("dataset" in row for row in placed):
        return [Section("Images and labels", ["No student finished."])]
    chance, accuracies = guessing(rows), read_accuracies(rows)
    names = {axis: list(dict.fromkeys(row["labels"][axis] for row in placed)) for axis in ("images", "loss")}
    methods = [name for name in names["images"] if name != RANDOM]
    soft = [name for name in names["loss"] if name != HARD]
    augmented, plain = (only(placed, augmentation=name) for name in (WITH, WITHOUT))
    whole = RANDOM in names["images"] and HARD in names["loss"]
    scored = whole and augmented and plain
    sections = [
        *([answer_section(augmented, accuracies, methods, chance, whole=whole)] if augmented else []),
        Section("Images and labels", best_blocks(augmented, chance), folded=True),
        *([share_section(accuracies, methods, soft)] if whole and augmented else []),
        *([score_section(accuracies, methods, names["loss"], lrs_weight, ars_weight)] if scored else []),
        Section("Without augmentation", accuracy_blocks(plain, "plain", "Without augmentation", chance), folded=True),
        noise_section("What is beyond noise with augmentation", augmented, methods, chance),
        noise_section("What is beyond noise without augmentation", plain, methods, chance),
    ]
    first = names["images"][0]
    return [*sections, *curves(only(augmented, images=first), "loss", f"On {first}")]


def answer_section(
    rows: Sequence[Row], accuracies: Accuracies, methods: Sequence[str], chance: float, *, whole: bool
) -> Section:
    """Accuracy by images and loss, and what labels and images gain. Args: whole, whether there are gains."""
    grid = make_grid(rows, "loss", "images", guessing=chance)
    tests = significance.compare(rows, row="loss", column="images", subject=SUBJECT, guessing=chance)
    text = answer.sentences(grid, tests, SUBJECT, WORDS)
    if whole and SUBJECT in grid.rows and len(grid.rows) > 1:
        text = in_words(grid, accuracies, methods)
    picture = pictures.points("accuracies", grid, "Top-1 accuracy by images and loss, with augmentation")
    return answer.section(picture, text, table(grid, "loss", worst=None), ABOUT)


def in_words(grid: Grid, accuracies: Accuracies, methods: Sequence[str]) -> str:
    """Three sentences: the best loss and images, what labels and images gain, what is beyond noise."""
    means = {images: grid.cells[SUBJECT, images].mean for images in grid.columns}
    order = sorted(means, key=lambda images: -means[images])
    first, *others = (f"{images} ({means[images]:.1f})" for images in order)
    rest = f", then {answer.listed(others)}" if others else ""
    best = f"{answer.what_wins(grid, SUBJECT, WORDS).removesuffix('.')}; with `{SUBJECT}`, {first} leads{rest}"
    labels = {images: accuracies.gain(images, SUBJECT, over=(images, HARD)) for images in means}
    gains = {images: accuracies.gain(images, SUBJECT, over=(RANDOM, SUBJECT)) for images in methods}
    over_hard, over_random = (
        answer.listed([f"{statistics.fmean(gain.values()):+.1f} ({images})" for images, gain in found.items()])
        for found in (labels, gains)
    )
    how_much = f"Its labels add {over_hard} points to hard ones, and the images add {over_random} to random ones"
    return f"{best}. {how_much}. {_noise(labels, gains)}."


def _noise(labels: Mapping[str, Mapping[int, float]], gains: Mapping[str, Mapping[int, float]]) -> str:
    """Which gains are beyond noise, all corrected together. Args: by images, then by seed."""
    every = [np.array([*gain.values()]) for found in (labels, gains) for gain in found.values()]
    chances = significance.holm([significance.paired_p(differences) for differences in every])
    if all(math.isnan(p) for p in chances):
        return "Nothing can be said about noise: one seed cannot be tested (n = 1)"
    sides = [
        ("better" if differences.mean() > 0 else "worse") if p < significance.LEVEL else "undecided"
        for p, differences in zip(chances, every, strict=True)
    ]
    parts = [
        f"{kind} {found.count('better') or 'none'} of {len(found)}"
        + (f" but harm in {found.count('worse')}" if "worse" in found else "")
        for kind, found in (("its labels help in", sides[: len(labels)]), ("the images in", sides[len(labels) :]))
    ]
    return f"Beyond noise, {answer.listed(parts)} cases (paired t-tests by seed, Holm, n = {max(map(len, every))})"


WORDS = answer.Words("on", "kinds of images")
ABOUT = (
    f"Top-1 accuracy after the last epoch, %, {SPREAD}. `ce` takes hard labels and the others the teacher's; each seed "
    "draws its own random images."
)


def accuracy_blocks(rows: Sequence[Row], name: str, title: str, chance: float) -> list[Block]:
    """Losses by images, a picture, and the best look."""
    if not rows:
        return ["No results."]
    last = make_grid(rows, "loss", "images", guessing=chance)
    picture = pictures.points(name, last, f"{title}: top-1 accuracy by images and loss")
    return [ABOUT, table(last, "loss", worst=None), picture, *best_blocks(rows, chance)]


def best_blocks(rows: Sequence[Row], chance: float) -> list[Block]:
    """Losses by images at the best look."""
    best = make_grid(rows, "loss", "images", "top1_best", guessing=chance)
    about = "Accuracy at each student's best look at the test images, which flatters all of them:"
    return [about, table(best, "loss", worst=None)] if rows else ["No results."]


def noise_section(title: str, rows: Sequence[Row], methods: Sequence[str], chance: float) -> Section:
    """GIFT against the other losses on each kind of images, and each set against random images under each loss."""
    tests = significance.compare(rows, row="loss", column="images", subject=SUBJECT, guessing=chance)
    blocks = list(significance.blocks(tests, "images", SUBJECT))
    for method in methods:
        own = [row for row in rows if row["labels"]["images"] in (method, RANDOM)]
        compared = significance.compare(own, row="images", column="loss", subject=method, guessing=chance)
        blocks += significance.blocks(compared, "loss", method)
    return Section(title, blocks or ["Nothing to compare."], folded=bool(blocks))
