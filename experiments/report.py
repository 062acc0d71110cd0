"""One report of several runs: duplicates of a cell become one, contradictions and what is missing are named.

Command: `python -m experiments.report runs/cross_optimizer other/results.jsonl --out runs/report`.
Runs are directories that studies wrote, the parts of one among them (`results-1-of-4.jsonl`), or results files; rows
of `experiments.evaluate` and `experiments.quickstart` are shown by loss and optimizer.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import tyro

from experiments import ablation, cross_architecture, cross_optimizer, loss_comparison, views
from experiments.pages import SPREAD, MakeSections, Row, guessing, only, table, write_report
from gift_jax import GiftError, cli, grid
from gift_jax.page import Section
from gift_jax.report import make_grid

EXPERIMENTS: Mapping[str, MakeSections] = MappingProxyType(
    {
        loss_comparison.NAME: loss_comparison.make_sections,
        cross_optimizer.NAME: views.make_sections,
        cross_architecture.NAME: cross_architecture.make_sections,
        ablation.NAME: ablation.make_sections,
    }
)
OTHERS = "others"
_SETTING = ("method", "dataset", "model", "ipc", "epochs")


@dataclasses.dataclass(frozen=True)
class Report:
    """Join results into one report. runs: directories or results files. out: directory of the report."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Path = Path("runs/report")


def other_sections(rows: Sequence[Row]) -> list[Section]:
    """A table of loss by optimizer for each setting of rows that no study wrote."""
    settings = dict.fromkeys(tuple(row[name] for name in _SETTING) for row in rows)
    return [_setting_section(rows, setting) for setting in settings]


def _setting_section(rows: Sequence[Row], setting: Sequence) -> Section:
    own = only(rows, **dict(zip(_SETTING, setting, strict=True)))
    method, dataset, model, ipc, epochs = setting
    sections = [table(make_grid(own, "loss", "optimizer", guessing=guessing(own)), "loss")]
    title = f"{method} of {dataset}, {ipc} images a class, {model}, {epochs} epochs"
    return Section(title, [f"Top-1 accuracy after the last epoch, %, {SPREAD}.", *sections])


def with_labels(row: Row) -> Row:
    """A row of no study as one of the study `others`, whose axes are loss, optimizer and the setting."""
    if "experiment" in row:
        return row
    names = (*_SETTING, "loss", "optimizer")
    return {**row, "experiment": OTHERS, "labels": {name: str(row[name]) for name in names}}


def main(config: Annotated[Report, tyro.conf.arg(name="")]) -> None:
    """Read, join, report."""
    if not config.runs:
        raise GiftError("give directories or results.jsonl files of runs to report on")
    rows, contradictions = grid.merge(grid.read_rows(config.runs))
    rows = [dict(with_labels(row)) for row in rows]
    if unknown := {row["experiment"] for row in rows} - {*EXPERIMENTS, OTHERS}:
        raise GiftError(f"experiment {min(unknown)!r} has no report here; known are {', '.join(EXPERIMENTS)}")
    names = [name for name in (*EXPERIMENTS, OTHERS) if any(row["experiment"] == name for row in rows)]
    makers = {name: {**EXPERIMENTS, OTHERS: other_sections}[name] for name in names}
    write_report(config.out, " and ".join(names), makers, rows, config.runs, contradictions)
    print(f"{len(rows)} results of {len(config.runs)} runs; {len(contradictions)} contradictions")
    print(f"Written: {config.out}/report.html, report.md, pictures/")


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.report")
