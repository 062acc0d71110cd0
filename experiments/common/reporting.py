"""From results to a report: an experiment's own sections, then the images, curves, configuration and what failed."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gift_jax.data.datasets import get_dataset
from gift_jax.reports import pictures
from gift_jax.reports.page import Section, write_page
from gift_jax.reports.sheet import read_png
from gift_jax.reports.tables import Grid, Summary, counts, markdown_table, name_on
from gift_jax.studies.grid import name_of
from gift_jax.training.timing import duration

Row = Mapping[str, Any]
MakeSections = Callable[[Sequence[Row]], list[Section]]

QUESTION = "question"  # axis of a study that asks several, each of its own grid
SPREAD = "mean ± sample standard deviation"


def write_report(
    out: Path,
    title: str,
    experiments: Mapping[str, MakeSections],
    rows: Sequence[Row],
    runs: Sequence[Path],
    contradictions: Sequence[str] = (),
) -> None:
    """Write report.md, report.html and pictures/ in out.

    Args: experiments, what makes the sections of the rows of each experiment, the answer first; runs, directories whose
    `sheets/` of distilled images are shown.
    """
    whole, omitted = complete([row for row in rows if row.get("failed") != "error"])
    answers, others = [], []
    for name, make_sections in experiments.items():
        if own := [row for row in whole if row.get("experiment", name) == name]:
            made = make_sections(own)
            first, *rest = made if len(experiments) == 1 else [_of_experiment(name, section) for section in made]
            answers.append(first)
            others += rest
    flaws = problems(rows, contradictions, omitted)
    # What is wrong with the results follows the answers, but for a long list of failures.
    short, long = ([section for section in flaws if section.folded is folded] for folded in (False, True))
    write_page(out, title, [*answers, *short, *others, *sheets(runs), *long, configuration(rows)])


def _of_experiment(name: str, section: Section) -> Section:
    """A section of one of several experiments: its heading and its pictures' files tell which."""
    stem = re.sub(r"\W+", "_", name)
    named = [
        block if isinstance(block, str) else block._replace(name=f"{stem}_{block.name}") for block in section.blocks
    ]
    return section._replace(title=f"{name}: {section.title}", blocks=named)


def table(grid: Grid, corner: str, *, worst: str | None = "worst") -> str:
    """A Markdown table of a grid with its n; with worst, rows are ordered by their worst column, which ends them."""
    order = sorted(grid.rows, key=lambda row: -grid.worst(row).mean) if worst else grid.rows
    last = [worst] if worst else []
    body = [
        [f"`{row}`", *(str(grid.cells[row, column]) for column in grid.columns)]
        + ([str(grid.worst(row))] if worst else [])
        for row in order
    ]
    heading = [f"{corner} ({counts(grid)})", *grid.columns, *last]
    return markdown_table([heading, *body])


def curves(rows: Sequence[Row], axis: str, title: str) -> list[Section]:
    """Accuracy and loss by epoch for each name on an axis, folded away; nothing if no run finished."""
    if all("failed" in row for row in rows):
        return []
    return [Section("Training curves", [pictures.curves("curves", rows, axis, title)], folded=True)]


def guessing(rows: Sequence[Row]) -> float:
    """The accuracy of guessing, in percent, that diverged runs count with."""
    finished = next((row for row in rows if "dataset" in row), None)
    if finished is None:
        return 0.0
    # The student's own: a report may be made where the dataset is not known.
    spec = finished.get("student")
    return 100 / (spec["num_classes"] if spec else get_dataset(finished["dataset"]).num_classes)


def grid_of(cells: Mapping[tuple[str, str], Summary]) -> Grid:
    """A grid of cells by (row, column)."""
    rows, columns = (tuple(dict.fromkeys(names[axis] for names in cells)) for axis in (0, 1))
    return Grid(rows, columns, cells)


def only(rows: Sequence[Row], **names: str) -> list[Row]:
    """The rows with these names on these axes."""
    return [row for row in rows if all(name_on(row, axis) == name for axis, name in names.items())]


def sheets(runs: Sequence[Path]) -> list[Section]:
    """The distilled images that lie in the runs' directories."""
    found = {path.name: path for run in runs if run.is_dir() for path in sorted(run.glob("sheets/*.png"))}
    return [Section("The distilled images", [read_png(path) for path in found.values()], folded=True)] if found else []


def configuration(rows: Sequence[Row]) -> Section:
    """What is common to the runs: versions, devices, recipe; settings that the runs differ in are named."""
    finished = [row for row in rows if "recipe" in row]
    if not finished:
        return Section("Configuration", ["No run finished."])
    # One run may stand under several labels.
    runs = list({row.get("cell", number): row for number, row in enumerate(rows)}.values())
    seconds = sum(row.get("seconds", row["train_seconds"]) for row in runs if "recipe" in row)
    recipes = [row["recipe"] for row in finished]
    differing = sorted(name for name in recipes[0] if any(recipe[name] != recipes[0][name] for recipe in recipes))
    common = {name: value for name, value in recipes[0].items() if name not in differing}
    taught = next((row for row in finished if row["teacher"]), finished[0])
    facts = [
        ["runs", f"{len(runs)}, of which {sum('failed' in row for row in runs)} failed"],
        ["time", f"{duration(seconds)} of training and testing, summed over all runs; some ran at the same time"],
        ["device", ", ".join(dict.fromkeys(str(row["device"]) for row in finished))],
        ["versions", ", ".join(f"{name} {number}" for name, number in finished[0]["versions"].items())],
        ["teacher", f"{taught['teacher']}, source SHA-256 {str(taught['teacher_sha256'])[:16]}"],
        ["sets", "; ".join(dict.fromkeys(f"{row['method']} {dict(row['distilled'])}" for row in finished))],
        ["runs differ in", ", ".join(differing) or "nothing of the recipe"],
    ]
    text = f"```json\n{json.dumps(common, indent=1)}\n```"
    about = "Every run is a line of `results.jsonl` with its complete configuration."
    return Section("Configuration", [markdown_table([["", ""], *facts], text=True), about, text], folded=True)


def problems(rows: Sequence[Row], contradictions: Sequence[str], omitted: Sequence[str]) -> list[Section]:
    """Cells that failed, with their reasons, contradictions between results that were joined, and what is missing."""
    failed = [[name_of(row["labels"], row["seed"]), row["failed"], row["reason"]] for row in rows if "failed" in row]
    sections = []
    if failed:
        text = "A diverged run counts as guessing wherever several runs are summarized."
        sections.append(
            Section(
                "Failed runs",
                [text, markdown_table([["run", "failed", "reason"], *failed], text=True)],
                folded=len(failed) > 10,
            )
        )
    if contradictions:
        lines = "\n".join(f"- {sentence}" for sentence in contradictions)
        sections.append(Section("Contradictions", [f"The first result of each is shown.\n\n{lines}"]))
    if omitted:
        sections.append(Section("Incomplete", left_out(omitted)))
    return sections


def left_out(names: Sequence[str]) -> list[str]:
    """A sentence about what `fill` left out; nothing if that is nothing."""
    return [f"Left out because some of their cells have no result: {', '.join(names)}."] if names else []


def complete(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows that fill whole grids, and the names that were left out for that.

    Rows of an experiment whose labels have the same axes are a grid. Rows of a study of several questions are kept as
    they are: it says itself what is missing.
    """
    grids: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        grids[row.get("experiment"), tuple(sorted(row.get("labels", {})))].append(row)
    kept, omitted = [], []
    for (_, axes), own in grids.items():
        whole, without = (own, []) if QUESTION in axes else fill(own, axes)
        kept, omitted = kept + whole, omitted + without
    return kept, omitted


def fill(rows: Sequence[Row], axes: Sequence[str]) -> tuple[list[Row], list[str]]:
    """The rows that fill a whole grid of these axes, and what was left out.

    The name that lacks the largest share of its cells is left out, until none lacks any.
    """
    kept, omitted = [*rows], []
    while axes and (name := _most_missing(kept, axes)):
        kept = [row for row in kept if row["labels"][name[0]] != name[1]]
        omitted.append(f"{name[0]} {name[1]}")
    return kept, omitted


def _most_missing(rows: Sequence[Row], axes: Sequence[str]) -> tuple[str, str] | None:
    """(axis, name) of the largest share of missing cells; None if there is none."""
    present = {tuple(row["labels"][axis] for axis in axes) for row in rows}
    sizes = [len({cell[index] for cell in present}) for index in range(len(axes))]
    if len(present) == math.prod(sizes):
        return None
    shares = {
        (axis, name): sum(cell[index] == name for cell in present) * sizes[index]
        for index, axis in enumerate(axes)
        for name in dict.fromkeys(cell[index] for cell in sorted(present))
    }
    return min(shares, key=lambda name: shares[name])
