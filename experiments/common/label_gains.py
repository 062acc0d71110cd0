"""Whose the gain of a distilled set is, the images' or the labels', and DD-Ranking's scores of it."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import pictures, ranking
from gift_jax.reports.page import Section
from gift_jax.reports.tables import Summary, markdown_table, summarize

from .reporting import SPREAD, Row, grid_of, guessing

HARD, RANDOM = "ce", "random"
WITH, WITHOUT = "dsa", "none"
REFERENCE = "reference"  # axis of the students of all real images


class Accuracies(NamedTuple):
    """Accuracy in percent by seed: by (images, loss, augmentation), and of all real images with hard labels."""

    of: Mapping[tuple[str, str, str], Mapping[int, float]]
    real: Mapping[int, float]

    def differences(self, one: tuple[str, str, str], other: tuple[str, str, str]) -> dict[int, float]:
        """One minus the other, by seed."""
        return {seed: value - self.of[other][seed] for seed, value in self.of[one].items() if seed in self.of[other]}

    def gain(self, images: str, loss: str, *, over: tuple[str, str], augmentation: str = WITH) -> dict[int, float]:
        """What images with a loss gain over others, by seed."""
        return self.differences((images, loss, augmentation), (*over, augmentation))


def read_accuracies(rows: Sequence[Row]) -> Accuracies:
    """Accuracies after the last epoch; a diverged student guesses."""
    chance, real, found = guessing(rows), {}, {}
    for row in rows:
        labels = row["labels"]
        key = () if REFERENCE in labels else (labels["images"], labels["loss"], labels["augmentation"])
        place = found.setdefault(key, {}) if key else real
        place[row["seed"]] = chance if "failed" in row else row["top1_last"]
    return Accuracies(found, real)


class Shares(NamedTuple):
    """Points gained over random images with hard labels, and the labels' and the images' shares, by seed.

    A share is the mean of what the one adds before the other and after it (Shapley's value), so that both add up.
    """

    total: Mapping[int, float]
    labels: Mapping[int, float]
    images: Mapping[int, float]


def shares(accuracies: Accuracies, images: str, loss: str) -> Shares:
    """Whose the gain of a set with a loss over random images with hard labels is."""
    total = accuracies.gain(images, loss, over=(RANDOM, HARD))
    labels_first = accuracies.gain(RANDOM, loss, over=(RANDOM, HARD))
    labels_last = accuracies.gain(images, loss, over=(images, HARD))
    seeds = sorted(total.keys() & labels_first.keys() & labels_last.keys())
    labels = {seed: (labels_first[seed] + labels_last[seed]) / 2 for seed in seeds}
    return Shares({seed: total[seed] for seed in seeds}, labels, {seed: total[seed] - labels[seed] for seed in seeds})


def _cell(values: Mapping[int, float], form: str = "{:+.1f}") -> str:
    cell: Summary = summarize(list(values.values()))
    return f"{form.format(cell.mean)} ± {cell.std:.1f}"


def share_section(accuracies: Accuracies, methods: Sequence[str], losses: Sequence[str]) -> Section:
    """Whose the gain is, by set and loss, in a table and in words."""
    found = {(method, loss): shares(accuracies, method, loss) for method in methods for loss in losses}
    header = ["images", "loss", "total gain", "labels' share", "images' share", "labels on random", "images under loss"]
    body = [
        [method, f"`{loss}`", *map(_cell, (*own, *_alone(accuracies, method, loss)))]
        for (method, loss), own in found.items()
    ]
    about = (
        f"Points over the same number of random images with hard labels, paired by seed, {SPREAD} (n = "
        f"{len(next(iter(accuracies.of.values())))}). The labels' share is the mean of what they add on random and on "
        "distilled images. The last two columns are what the loss adds on random images, and what distilled images add "
        "to random ones under the same loss."
    )
    cells = {
        (part, f"{method}, {loss}"): summarize(list(getattr(own, part).values()))
        for (method, loss), own in found.items()
        for part in ("labels", "images")
    }
    picture = pictures.points("shares", grid_of(cells), "Gain over random images with hard labels", "points, by share")
    text = "\n".join(_in_words(found))
    return Section("Whose the gain is", [about, markdown_table([header, *body]), text, picture], folded=True)


def _alone(accuracies: Accuracies, images: str, loss: str) -> tuple[dict[int, float], dict[int, float]]:
    """What the loss adds on random images, and what the images add under the loss."""
    labels_alone = accuracies.gain(RANDOM, loss, over=(RANDOM, HARD))
    return labels_alone, accuracies.gain(images, loss, over=(RANDOM, loss))


def _in_words(found: Mapping[tuple[str, str], Shares]) -> list[str]:
    lines = []
    for (method, loss), own in found.items():
        total, labels, images = (statistics.fmean(part.values()) for part in own)
        larger = "the labels add more" if labels > images else "the images add more"
        verdict = larger if total > 0 else "nothing is gained"
        lines.append(
            f"- {method} with `{loss}`: {total:+.1f} points, {labels:+.1f} by labels, {images:+.1f} by images; "
            f"{verdict}."
        )
    return lines


def score_section(
    accuracies: Accuracies, methods: Sequence[str], losses: Sequence[str], lrs_weight: float, ars_weight: float
) -> Section:
    """HLR, IOR, LRS and ARS of each set under each loss; without HLR where no student saw all real images."""
    header = ["images", "loss", "HLR", "IOR", "LRS", "IOR, no augmentation", "ARS"]
    body = []
    for method in methods:
        hlr = {seed: real - accuracies.of[method, HARD, WITH][seed] for seed, real in accuracies.real.items()}
        for loss in losses:
            ior, plain = (accuracies.gain(method, loss, over=(RANDOM, loss), augmentation=a) for a in (WITH, WITHOUT))
            lrs = _scores(ranking.label_robust_score, hlr, ior, lrs_weight)
            ars = _scores(ranking.augmentation_robust_score, ior, plain, ars_weight)
            figures = [_cell(hlr) if hlr else "-", _cell(ior), _cell(lrs, "{:.1f}") if lrs else "-"]
            body.append([method, f"`{loss}`", *figures, _cell(plain), _cell(ars, "{:.1f}")])
    about = (
        "HLR, all real images minus the set, both with hard labels, and IOR, the set minus random images, both with "
        f"the loss, in points; LRS (w = {lrs_weight:g}) and ARS (gamma = {ars_weight:g}) from 0 to 100, of which 26.9 "
        "is no gain and no loss; by seed, then mean ± sample standard deviation. Scores are as DD-Ranking defines "
        "them, from accuracies after the last epoch at the official learning rate; its code chooses both with test "
        "images, so that its leaderboard is not comparable."
    )
    real = accuracies.real
    reached = [f"Students of all real images with hard labels reach {_cell(real, '{:.1f}')} %."] if real else []
    return Section("DD-Ranking's scores", [about, markdown_table([header, *body]), *reached], folded=True)


def _scores(
    score: Callable[..., float], first: Mapping[int, float], second: Mapping[int, float], weight: float
) -> dict[int, float]:
    """A score by seed, from differences in percentage points."""
    both = sorted(first.keys() & second.keys())
    return {seed: score(first[seed] / 100, second[seed] / 100, weight=weight) for seed in both}
