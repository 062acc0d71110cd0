"""Find out which part of the GIFT loss does the work: refinement weight, smoothing, logits, temperature.

Question: how sensitive is GIFT to its two constants (0.1 and 0.1 in the official code), and to taking the teacher's
logits rather than its probabilities? The paper's ablations are not known here.
Command: `python -m experiments.ablation`; on real sets with the options of `experiments.evaluate`.
Time: 174 results, of which 144 are trained, took 2 minutes on 2 of 4 CPU cores, with nothing compiled before.

Accuracies are on test images and nothing is chosen by them: the official constants stay the default whatever is found.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gift_jax.optim import compared
from gift_jax.reports import answer, pictures, significance
from gift_jax.reports.page import Section
from gift_jax.reports.tables import Grid, make_grid
from gift_jax.runtime import cli
from gift_jax.runtime.options import ComparedName
from gift_jax.studies.cells import Cell

from .common.reporting import SPREAD, Row, curves, fill, guessing, left_out, only, table
from .common.study import Materials, Method, Study, load_materials, run_study

NAME = "ablation"
LOGITS = "logits"
OFFICIAL = 0.1  # refinement weight and smoothing of the official code


@dataclasses.dataclass(frozen=True)
class Ablation(Study):
    """Grids over the loss's parts.

    Args:
        method: method of the set.
        optimizers: names in `gift_jax.optim.COMPARED`, that each grid is trained with at their customary rates.
        weights: of the refinement.
        smoothings: of the hard labels in it.
        temperatures: of the teacher's probabilities, in the place of its logits.
        kl_temperatures: of KL, with and without the factor T^2.
    """

    out: Path = Path("runs/ablation")
    method: Method = "rded"
    optimizers: tuple[ComparedName, ...] = ("sgd", "adamw")
    weights: tuple[float, ...] = (0.0, 0.03, 0.1, 0.3, 1.0)
    smoothings: tuple[float, ...] = (0.0, 0.1, 0.5)
    temperatures: tuple[float, ...] = (1.0, 4.0, 20.0)
    kl_temperatures: tuple[float, ...] = (1.0, 4.0, 20.0)


Setting = tuple[dict[str, str], dict[str, Any]]
"""Labels, and the recipe's fields that they stand for."""


def refinements(config: Ablation) -> Iterator[Setting]:
    """Weight x smoothing; without weight the smoothing is nothing, so that one run does for all of them."""
    for weight in config.weights:
        for smoothing in config.smoothings:
            options = (("weight", weight), ("smoothing", smoothing if weight else OFFICIAL))
            labels = {"weight": f"{weight:g}", "smoothing": f"{smoothing:g}"}
            yield labels, {"loss": "gift", "loss_options": options}


def targets(config: Ablation) -> Iterator[Setting]:
    """The teacher's logits, and its probabilities at each temperature; refined, and (the weight is 0) bare."""
    softs = {LOGITS: (), **{f"T = {t:g}": (("soft", "probabilities"), ("temperature", t)) for t in config.temperatures}}
    for name, soft in softs.items():
        for refined, weight in (("refined", OFFICIAL), ("bare", 0.0)):
            options = (("weight", weight), ("smoothing", OFFICIAL), *soft)
            yield {"target": name, "refinement": refined}, {"loss": "gift", "loss_options": options}


def divergences(config: Ablation) -> Iterator[Setting]:
    """KL at each temperature, with and without T^2, which are one at T = 1."""
    for temperature in config.kl_temperatures:
        for factor in ("without", "with"):
            squared = factor == "with" and temperature != 1
            options = (("temperature", temperature), ("t_squared", squared))
            yield {"temperature": f"{temperature:g}", "squared": factor}, {"loss": "kl", "loss_options": options}


def make_cells(config: Ablation, materials: Materials) -> list[Cell]:
    """Every grid under every optimizer at its customary rate."""
    cells = []
    for name in config.optimizers:
        optimizer, _, schedule = compared(name)
        for labels, changes in (*refinements(config), *targets(config), *divergences(config)):
            recipe = materials.recipe(config.method, config, optimizer=optimizer, schedule=schedule, **changes)
            named = {**labels, "optimizer": name}
            cells += [materials.cell(named, config.method, recipe, seed) for seed in range(config.seeds)]
    return cells


GRIDS = (
    ("Refinement weight and smoothing", "weight", "smoothing", f"{OFFICIAL:g}", f"{OFFICIAL:g}"),
    ("Logits or probabilities", "target", "refinement", LOGITS, "refined"),
    ("Temperature of KL", "temperature", "squared", "20", "without"),
)
"""Heading, axes of rows and columns, and the official code's names on them."""


SUBJECT = "official"
KINDS = (SUBJECT, "weight", "smoothing", "probabilities")  # of settings, in the order of the table
CHANGES = {"weight": ("smoothing", f"{OFFICIAL:g}"), "smoothing": ("weight", f"{OFFICIAL:g}")}
"""An axis of the first grid: the other axis, and the official name on that one."""


def single_changes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows by setting and optimizer: the official setting, and all that differ from it in one part."""
    found = []
    for row in rows:
        if name := _setting(row["labels"]):
            found.append({**row, "labels": {"setting": name, "optimizer": row["labels"]["optimizer"]}})
    return sorted(found, key=lambda row: KINDS.index(row["labels"]["setting"].partition(" ")[0].strip(",")))


def _setting(labels: Mapping[str, str]) -> str | None:
    """What a run differs from the official setting in: `weight 0.3`, `probabilities, T = 4`; None if in more."""
    if "target" in labels:  # the logits are the first grid's official setting
        refined = labels["refinement"] == "refined" and labels["target"] != LOGITS
        return f"probabilities, {labels['target']}" if refined else None
    if "weight" not in labels:
        return None
    changed = [axis for axis in CHANGES if labels[axis] != f"{OFFICIAL:g}"]
    return {0: SUBJECT, 1: f"{changed[0]} {labels[changed[0]]}" if changed else ""}.get(len(changed))


def answer_section(rows: Sequence[Row]) -> Section:
    """What one change of the official setting does under each optimizer."""
    chance = guessing(rows)
    # Of two of the study's grids, of which one may lack an optimizer.
    changed, omitted = fill(single_changes(rows), ("setting", "optimizer"))
    grid = make_grid(changed, "setting", "optimizer", guessing=chance)
    turned = make_grid(changed, "optimizer", "setting", guessing=chance)
    tests = significance.compare(changed, row="setting", column="optimizer", subject=SUBJECT, guessing=chance)
    words = answer.Words("under", "optimizers")
    text = answer.sentences(grid, tests, SUBJECT, words)
    if SUBJECT in grid.rows and len(grid.rows) > 1:
        spread = _sensitivity(grid, words)
        text = f"{answer.what_wins(grid, SUBJECT, words)} {spread} {answer.beyond_noise(tests, SUBJECT, words)}"
    picture = pictures.points("answer", turned, "GIFT with one change at a time", sideways=True)
    note = (
        f"Top-1 accuracy after the last epoch, %, {SPREAD}. `{SUBJECT}` is weight {OFFICIAL:g}, smoothing {OFFICIAL:g} "
        "and the teacher's logits; every other row changes one of these."
    )
    return answer.section(picture, text, table(grid, "setting", worst=None), " ".join([note, *left_out(omitted)]))


def _sensitivity(grid: Grid, words: answer.Words) -> str:
    """The changes that cost most and least, in a sentence."""
    found = {
        (name, column): grid.cells[name, column].mean - grid.cells[SUBJECT, column].mean
        for name in grid.rows
        if name != SUBJECT
        for column in grid.columns
    }
    low, high = (pick(found, key=lambda names: found[names]) for pick in (min, max))
    least, most = (f"`{end[0]}` {words.one(end[1])}" for end in (low, high))
    return f"A single change moves the mean by {found[low]:+.1f} ({least}) to {found[high]:+.1f} points ({most})."


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The answer, then a heat map and a table for each grid and optimizer."""
    sections = [answer_section(rows)] if single_changes(rows) else []
    for number, (heading, row, column, *official) in enumerate(GRIDS):
        own = [result for result in rows if row in result["labels"]]
        for optimizer in dict.fromkeys(result["labels"]["optimizer"] for result in own):
            chosen, title = only(own, optimizer=optimizer), f"{heading}, {optimizer}"
            blocks = _blocks(chosen, row, column, official, f"grid_{number}_{optimizer}", title)
            sections.append(Section(title, blocks, folded=True))
    finished = [result for result in rows if "weight" in result["labels"]]
    if finished:
        first = finished[0]["labels"]
        drawn = only(finished, optimizer=first["optimizer"], smoothing=first["smoothing"])
        sections += curves(drawn, "weight", f"By weight, smoothing {first['smoothing']}")
    return sections


def _blocks(rows: Sequence[Row], row: str, column: str, official: Sequence[str], name: str, title: str) -> list:
    chance = guessing(rows)
    grid = make_grid(rows, row, column, guessing=chance)
    about = f"Top-1 accuracy after the last epoch, %, {SPREAD}; rows {row}, columns {column}."
    tests = significance.compare(rows, row=row, column=column, subject=official[0], guessing=chance)
    words = significance.blocks(tests, column, official[0]) if official[0] in grid.rows else []
    words = words[:1] and [f"The official {row} against the others. {words[0]}", *words[1:]]
    picture = pictures.heat_map(name, grid, f"{title} (rows: {row}, columns: {column})", worst=False)
    return [about, table(grid, row, worst=None), picture, _spread(grid, official), *words]


def _spread(grid: Grid, official: Sequence[str]) -> str:
    """The range of the grid's means, and the rank of the official setting."""
    order = sorted(grid.cells, key=lambda names: -grid.cells[names].mean)
    best, least = grid.cells[order[0]], grid.cells[order[-1]]
    text = (
        f"Means range from {least.mean:.1f} ({', '.join(order[-1])}) to {best.mean:.1f} ({', '.join(order[0])}), "
        f"{best.mean - least.mean:.1f} points."
    )
    place = tuple(official)
    if place not in grid.cells:
        return text
    rank = f"rank {order.index(place) + 1} of {len(order)}"
    return f"{text} The official setting ({', '.join(place)}) has {grid.cells[place]}, {rank}."


def main(config: Ablation) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
