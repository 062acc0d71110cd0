"""Join the results of several runs into one report.

Command: `python -m experiments.report runs/cross_optimizer other/results.jsonl --out runs/report`.
Runs are directories that studies wrote, the parts of one among them (`results-1-of-4.jsonl`), or results files; rows
of `experiments.evaluate` are shown by setting, named by what differs.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import tyro

from gift_jax import GiftError
from gift_jax.runtime import cli
from gift_jax.studies import grid
from gift_jax.studies.results import check_directory

from . import (
    ablation,
    benchmark,
    continual_learning,
    cross_architecture,
    cross_optimizer,
    fidelity,
    label_quality,
    label_regimes,
    loss_comparison,
)
from .common import evaluation_views
from .common.reporting import (
    MISSING,
    QUESTION,
    MakeSections,
    check_runs,
    first_of,
    missing_cells,
    missing_parts,
    report_title,
    two_axes,
    write_report,
)

STUDIES = (
    *(loss_comparison, cross_optimizer, cross_architecture, ablation, fidelity, continual_learning, label_quality),
    label_regimes,
)
PRINTED = 4  # missing results that the terminal names; the report names more
EXPERIMENTS: Mapping[str, MakeSections] = MappingProxyType({study.NAME: study.make_sections for study in STUDIES})


@dataclasses.dataclass(frozen=True)
class Report:
    """Join results into one report.

    Args:
        runs: directories that studies wrote, or results files.
        out: directory of the report.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Path = Path("runs/report")


# Of a study that is not one of these.
other_sections: MakeSections = functools.partial(two_axes, row="loss", column="optimizer")


def main(config: Report) -> None:
    """Read, join, report."""
    check_runs(config.runs)
    check_directory(config.out)
    rows, contradictions = grid.merge(grid.read_rows(config.runs))
    rows = [{"experiment": evaluation_views.NAME, **row} for row in rows]
    names = dict.fromkeys(row["experiment"] for row in rows)
    # The study of a benchmark is called as its dataset is.
    known = {row["experiment"]: benchmark.make_sections for row in rows if QUESTION in row.get("labels", {})}
    known |= {**EXPERIMENTS, evaluation_views.NAME: evaluation_views.make_sections}
    makers = {name: known.get(name, other_sections) for name in names}
    others = [row for row in rows if row["experiment"] not in known]
    if unknown := [row["experiment"] for row in others if not {"loss", "optimizer"} <= {*row["labels"]}]:
        raise GiftError(f"experiment {unknown[0]!r} has no report here; known are {', '.join(EXPERIMENTS)}")
    missing = [*missing_parts(rows, config.runs), *missing_cells(rows)]
    write_report(config.out, report_title(names, rows), makers, rows, config.runs, contradictions, missing)
    counts = ((rows, "result"), (config.runs, "run"), (contradictions, "contradiction"))
    results, runs, contradicting = (f"{len(found)} {noun}{'s' * (len(found) != 1)}" for found, noun in counts)
    print(f"{results} of {runs}; {contradicting}")
    if missing:
        print(MISSING, *first_of(missing, PRINTED), sep="\n- ")
    print(f"Written: {config.out}/report.html, report.md, pictures/")


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.report")
