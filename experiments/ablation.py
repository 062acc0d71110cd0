"""Find out which part of the GIFT loss does the work: refinement weight, smoothing, logits, temperature.

Question: how sensitive is GIFT to its two constants (0.1 and 0.1 in the official code), and to taking the teacher's
logits rather than its probabilities? The paper's ablations are not known here.
Command: `python -m experiments.ablation`; on real sets with the options of `experiments.evaluate`.
Time: 174 results, of which 144 are trained, took 2 minutes on 2 of 4 CPU cores, with nothing compiled before.

Accuracies are on test images and nothing is chosen by them: the official constants stay the default whatever is found.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gift_jax.optim import compared
from gift_jax.reports import pictures
from gift_jax.reports.page import Section
from gift_jax.reports.summary import ACCURACY, TITLE, differences, summary, what_was_run
from gift_jax.reports.tables import grid_table, make_grid
from gift_jax.runtime import cli
from gift_jax.runtime.options import ComparedName
from gift_jax.studies.cells import Cell

from .common.guessing import guessing
from .common.reporting import Row, curves, only
from .common.study import Materials, Method, Study, load_materials, run_study

NAME = "ablation"
LOGITS = "logits"
OFFICIAL = 0.1  # refinement weight and smoothing of the official code


@dataclasses.dataclass(frozen=True)
class Ablation(Study):
    """Grids over the loss's parts.

    Args:
        method: method of the set.
        optimizers: names in `gift_jax.optim.COMPARED`, that each grid is trained with at their default rates.
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
    for weight, smoothing in itertools.product(config.weights, config.smoothings):
        options = (("weight", weight), ("smoothing", smoothing if weight else OFFICIAL))
        yield {"weight": f"{weight:g}", "smoothing": f"{smoothing:g}"}, {"loss": "gift", "loss_options": options}


def targets(config: Ablation) -> Iterator[Setting]:
    """The teacher's logits, and its probabilities at each temperature; refined, and (the weight is 0) bare."""
    softs = {LOGITS: (), **{f"T = {t:g}": (("soft", "probabilities"), ("temperature", t)) for t in config.temperatures}}
    for name, soft in softs.items():
        for refined, weight in (("refined", OFFICIAL), ("bare", 0.0)):
            options = (("weight", weight), ("smoothing", OFFICIAL), *soft)
            yield {"target": name, "refinement": refined}, {"loss": "gift", "loss_options": options}


def divergences(config: Ablation) -> Iterator[Setting]:
    """KL at each temperature, with and without T^2, which are one at T = 1."""
    for temperature, factor in itertools.product(config.kl_temperatures, ("without", "with")):
        options = (("temperature", temperature), ("t_squared", factor == "with" and temperature != 1))
        yield {"temperature": f"{temperature:g}", "squared": factor}, {"loss": "kl", "loss_options": options}


def make_cells(config: Ablation, materials: Materials) -> Iterator[Cell]:
    """Every grid under every optimizer at its default rate."""
    for name in config.optimizers:
        optimizer, _, schedule = compared(name)
        for labels, changes in (*refinements(config), *targets(config), *divergences(config)):
            named = {**labels, "optimizer": name}
            yield from materials.cells(config, named, config.method, optimizer=optimizer, schedule=schedule, **changes)


GRIDS = (
    ("Refinement weight and smoothing", "weight", "smoothing", f"{OFFICIAL:g}"),
    ("Logits or probabilities", "target", "refinement", LOGITS),
    ("Temperature of KL", "temperature", "squared", "20"),
)
"""Heading, axes of rows and columns, and the official code's name on the first."""


SUBJECT = "official"
KINDS = (SUBJECT, "weight", "smoothing", "probabilities")  # of settings, in the order of the table


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
    changed = [f"{axis} {labels[axis]}" for axis in ("weight", "smoothing") if labels[axis] != f"{OFFICIAL:g}"]
    return None if len(changed) > 1 else (changed or [SUBJECT])[0]


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The summary by single changes, then a table and differences for each grid and optimizer."""
    sections = [single_summary(single_changes(rows), rows)]
    for heading, row, column, official in GRIDS:
        own = [result for result in rows if row in result["labels"]]
        for optimizer in dict.fromkeys(result["labels"]["optimizer"] for result in own):
            chosen = only(own, optimizer=optimizer)
            chance = guessing(chosen)
            grid = make_grid(chosen, row, column, guessing=chance)
            tests = differences(chosen, row, column, official, guessing=chance)
            blocks = [grid_table(grid, f"{row} by {column}"), *tests]
            sections.append(Section(f"{heading}, {optimizer}", blocks, folded=True))
    finished = [result for result in rows if "weight" in result["labels"]]
    if finished:
        first = finished[0]["labels"]
        drawn = only(finished, optimizer=first["optimizer"], smoothing=first["smoothing"])
        sections += curves(drawn, "weight", f"By weight, smoothing {first['smoothing']}, {first['optimizer']}")
    return sections


def single_summary(changes: Sequence[Row], rows: Sequence[Row]) -> Section:
    """What one change of the official setting does under each optimizer. Args: rows, of the whole study."""
    if not changes:
        return Section(TITLE, ["No result of the official setting or of one change."])
    chance = guessing(rows)
    turned = make_grid(changes, "optimizer", "setting", guessing=chance)
    title = "GIFT with one change at a time"
    picture = pictures.points("summary", {"": turned}, title, about=what_was_run(changes), sideways=True)
    note = (
        f"{ACCURACY} `{SUBJECT}` is weight {OFFICIAL:g}, smoothing {OFFICIAL:g} and the teacher's logits; every other "
        "row changes one of these."
    )
    names = {"row": "setting", "column": "optimizer", "subject": SUBJECT, "guessing": chance}
    return summary(changes, **names, picture=picture, note=note)


def main(config: Ablation) -> None:
    """Run the study."""
    materials = load_materials(config, [config.method])
    run_study(config, NAME, materials, make_cells(config, materials), make_sections)


if __name__ == "__main__":
    cli.run(main, program=f"python -m experiments.{NAME}")
