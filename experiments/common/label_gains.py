"""Whose the gain of a distilled set is, the images' or the labels', and DD-Ranking's scores of it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import pictures, ranking
from gift_jax.reports.page import Section, Table
from gift_jax.reports.tables import count, figure, grid_of, summarize

from .guessing import guessing
from .reporting import Row

HARD, RANDOM = "ce", "random"
WITH, WITHOUT = "dsa", "none"
REFERENCE = "reference"  # axis of the students of all real images

BySeed = Mapping[int, float]


class Accuracies(NamedTuple):
    """Accuracy in percent by seed: by (images, loss, augmentation), and of all real images with hard labels."""

    of: Mapping[tuple[str, str, str], BySeed]
    real: BySeed

    def gain(self, images: str, loss: str, *, over: tuple[str, str], augmentation: str = WITH) -> dict[int, float]:
        """What images with a loss gain over other ones, by each seed that both have."""
        one, other = self.of.get((images, loss, augmentation), {}), self.of.get((*over, augmentation), {})
        return {seed: value - other[seed] for seed, value in one.items() if seed in other}


def read_accuracies(rows: Sequence[Row]) -> Accuracies:
    """Accuracies after the last epoch; a diverged student guesses."""
    chance, real, found = guessing(rows), {}, {}
    for row in rows:
        labels = row["labels"]
        key = tuple(labels.get(axis) for axis in ("images", "loss", "augmentation"))
        place = real if REFERENCE in labels else found.setdefault(key, {})
        place[row["seed"]] = figure(row, chance)
    return Accuracies(found, real)


def shares(accuracies: Accuracies, images: str, loss: str) -> dict[str, BySeed]:
    """Points that a set with a loss gains over random images with hard labels, `total`, and whose they are.

    A share is the mean of what the one adds before the other and after it (Shapley's value), so that both add up.
    """
    total = accuracies.gain(images, loss, over=(RANDOM, HARD))
    labels_first = accuracies.gain(RANDOM, loss, over=(RANDOM, HARD))
    labels_last = accuracies.gain(images, loss, over=(images, HARD))
    seeds = sorted(total.keys() & labels_first.keys() & labels_last.keys())
    labels = {seed: (labels_first[seed] + labels_last[seed]) / 2 for seed in seeds}
    found = {"labels": labels, "images": {seed: total[seed] - labels[seed] for seed in seeds}}
    return {"total": {seed: total[seed] for seed in seeds}, **found}


def cell(values: BySeed, form: str = "+.1f") -> str:
    """Mean and spread over seeds; a dash of none."""
    return summarize(values.values()).text(form) if values else "-"


ABOUT_SHARES = (
    "Points over as many random images with hard labels, paired by seed. The labels' share is the mean of what they "
    "add on random and on distilled images."
)


def share_section(accuracies: Accuracies, methods: Sequence[str], losses: Sequence[str]) -> Section:
    """Whose the gain is, in a table and a picture."""
    body, cells = [], {}
    for method, loss in itertools.product(methods, losses):
        found = shares(accuracies, method, loss)
        body.append([method, f"`{loss}`", *map(cell, found.values())])
        for part, values in found.items():
            if values and part != "total":
                cells[part, f"{method}, {loss}"] = summarize(values.values())
    title = "Gain over random images with hard labels, by share"
    picture = [pictures.points("shares", {"": grid_of(cells)}, title, label="points")] if cells else []
    n = count(map(len, accuracies.of.values()))
    table = Table([["images", "loss", "total gain", "labels' share", "images' share"], *body])
    return Section("Shares of labels and images", [f"{ABOUT_SHARES} {n}.", table, *picture], folded=True)


def score_section(
    accuracies: Accuracies, methods: Sequence[str], losses: Sequence[str], lrs_weight: float, ars_weight: float
) -> Section:
    """HLR, IOR, LRS and ARS of each set under each loss; without HLR where no student saw all real images."""
    n = count(map(len, accuracies.of.values()))
    header, body = [f"images ({n})", "loss", "HLR", "IOR", "LRS", "IOR, no augmentation", "ARS"], []
    for method in methods:
        hard = accuracies.of.get((method, HARD, WITH), {})
        hlr = {seed: real - hard[seed] for seed, real in accuracies.real.items() if seed in hard}
        for loss in losses:
            ior, plain = (accuracies.gain(method, loss, over=(RANDOM, loss), augmentation=a) for a in (WITH, WITHOUT))
            lrs = _scores(ranking.label_robust_score, hlr, ior, lrs_weight)
            ars = _scores(ranking.augmentation_robust_score, ior, plain, ars_weight)
            body.append([method, f"`{loss}`", cell(hlr), cell(ior), cell(lrs, ".1f"), cell(plain), cell(ars, ".1f")])
    about = (
        "HLR is all real images minus the set, both with hard labels; IOR the set minus random images, both with the "
        f"loss, in points. LRS (w = {lrs_weight:g}) and ARS (gamma = {ars_weight:g}) go from 0 to 100; 26.9 is no "
        "gain. Accuracies are of the last epoch at the official learning rate; DD-Ranking chooses both with test "
        "images, so that its leaderboard is not comparable."
    )
    reached = [f"All real images, hard labels: {cell(accuracies.real, '.1f')} %."] if accuracies.real else []
    return Section("DD-Ranking's scores", [about, Table([header, *body]), *reached], folded=True)


def _scores(score: Callable[..., float], first: BySeed, second: BySeed, weight: float) -> dict[int, float]:
    """A score by seed, from differences in percentage points."""
    both = sorted(first.keys() & second.keys())
    return {seed: score(first[seed] / 100, second[seed] / 100, weight=weight) for seed in both}
