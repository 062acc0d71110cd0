"""From results to a report: sections of experiments, then images, curves, configuration and what is missing."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import Any

import rich
import rich.table

from gift_jax import GiftError
from gift_jax.errors import short_reason
from gift_jax.optim import COMPARED
from gift_jax.readers.splits_and_pairs import listed
from gift_jax.reports import pictures
from gift_jax.reports.page import Block, Picture, Section, Table, write_page
from gift_jax.reports.sheet import read_png
from gift_jax.reports.summary import ACCURACY, SUBJECT, best_evaluations, differences, summary
from gift_jax.reports.tables import (
    arranged,
    differing,
    fact_text,
    facts,
    flatten,
    is_part,
    known_text,
    make_grid,
    name_on,
)
from gift_jax.runtime.progress import duration
from gift_jax.studies.grid import GRIDS, Shard, read_grid, row_key
from gift_jax.studies.results import read_results
from gift_jax.training.identity import fingerprint

from .guessing import at_guessing, guessing

Row = Mapping[str, Any]
MakeSections = Callable[[Sequence[Row]], list[Section]]

QUESTION = "question"  # axis of a study that asks several, each of its own grid
LONGEST = 150  # letters of a part in its pictures' names, of which file systems take 255 bytes
MISSING = "These results are missing."
NAMED = 20  # missing results that are named one by one


def write_report(
    out: Path,
    title: str,
    experiments: Mapping[str, MakeSections],
    rows: Sequence[Row],
    runs: Sequence[Path],
    contradictions: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> list[Section]:
    """Write report.md, report.html and pictures/ in out. Returns: what was written.

    Args:
        out: directory of the report.
        title: of the report.
        experiments: what makes the sections of the rows of each experiment, the summary first.
        rows: of all experiments.
        runs: directories whose `sheets/` of distilled images are shown.
        contradictions: sentences about rows that contradict one another.
        missing: names of results that are not there.
    """
    usable, summaries, others = [row for row in rows if row.get("failed") != "error"], [], []
    for name, make_sections in experiments.items():
        for setting, own in by_setting([row for row in usable if row.get("experiment", name) == name]).items():
            prefix = ", ".join(text for text in (name if len(experiments) > 1 else "", setting) if text)
            try:
                first, *rest = [_of_part(prefix, section) for section in make_sections(own)]
                first = first._replace(blocks=[*first.blocks, *at_guessing(own)])
            except (KeyError, ValueError) as error:  # of a file that was edited
                what = f"{error} is not there, or not its value" if isinstance(error, KeyError) else short_reason(error)
                raise GiftError(f"the labels of results of {name} are not as the study writes them: {what}") from error
            summaries.append(first)
            others += rest
    contradicting = listed_section("Contradictions", "The first result of each is shown.", contradictions)
    incomplete = listed_section("Incomplete", MISSING, first_of(missing, NAMED))
    flaws = [*incomplete, *contradicting, *failures(rows)]
    sections = [*summaries, *flaws, *others, *sheets(runs), configuration(rows)]
    write_page(out, title, sections)
    return sections


def report_title(names: Iterable[str], rows: Sequence[Row]) -> str:
    """The experiments' names, and the datasets that they do not name themselves."""
    studies = (name.replace("_", " ").capitalize() if name.isidentifier() else name for name in names)
    written = " and ".join(pictures.NAMES.get(name, name) for name in studies)
    datasets = [pictures.display(name) for name in dict.fromkeys(row["dataset"] for row in rows if "dataset" in row)]
    others = [name for name in datasets if name.casefold() not in written.casefold()]
    return f"{written} on {', '.join(others)}" if others else written


# What the rows of a study have in common, and the axes that may decide it all the same. A set may store its labels, so
# that it has no teacher, and have students and a recipe of its own.
_OF_A_SET, _CHANGED = ("method", "images"), ("deviation", "side")
HELD: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "recipe.precision": (),
    "teacher": (*_OF_A_SET, *_CHANGED, "labels"),
    "teacher_sha256": (*_OF_A_SET, *_CHANGED, "labels"),
    "student": (*_OF_A_SET, "student", "stage"),
    "ipc": (*_OF_A_SET, "ipc", "hard-labelled", "all real images"),
    "distilled": (*_OF_A_SET, *_CHANGED, "ipc"),
    "recipe.epochs": (*_OF_A_SET, "ipc", "epochs"),
    "recipe.optimizer.name": (*_CHANGED, "optimizer"),
    "recipe.schedule": (*_CHANGED, "optimizer"),
    "recipe.augment": (*_OF_A_SET, *_CHANGED, "augmentation", "labels"),
    "recipe.mix": (*_OF_A_SET, *_CHANGED, "augmentation", "labels"),
    "digests.images": (*_OF_A_SET, *_CHANGED, "ipc"),
    "digests.teacher_weights": (*_OF_A_SET, *_CHANGED, "labels"),
    "digests.test_images": (*_OF_A_SET, *_CHANGED),  # whitened as the set is
    "digests.random_generator": (),
})  # fmt: skip


def by_setting(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each setting by what differs between settings; one part, named "", if nothing does.

    Two rows under the same labels are of two settings if anything but the seed decided them differently, and so are two
    of one question that differ in what a study holds fixed (`HELD`). Rows without labels are a part a dataset, whose
    settings are named in it.
    """
    settings = [dict(pairs) for pairs in dict.fromkeys(tuple(facts(row).items()) for row in rows if "labels" in row)]
    mixed = dict.fromkeys(["dataset"] if len({row["dataset"] for row in rows if "dataset" in row}) > 1 else [])
    mixed |= dict.fromkeys(_mixed(settings, {key for one in settings for key in one if key.startswith("labels.")}))
    for fact, axes in HELD.items():
        known = [one for one in settings if any(is_part(key, fact) for key in one)]
        mixed |= dict.fromkeys(_mixed(known, {f"labels.{axis}" for axis in (QUESTION, *axes)}, fact))
    parts: dict[str, list[Row]] = {}
    for row in rows:
        own = facts(row) if mixed else {}
        parts.setdefault(", ".join(fact_text(key, known_text(own, key)) for key in mixed), []).append(row)
    return parts


def _mixed(settings: Sequence[Mapping[str, str]], names: Set[str], part: str = "") -> list[str]:
    """The facts, or those of one part, in which settings differ that have the same of the facts so named."""
    groups: dict[tuple[tuple[str, str], ...], list[Mapping[str, str]]] = defaultdict(list)
    for one in settings:
        groups[tuple((key, text) for key, text in one.items() if key in names)].append(one)
    return [key for found in groups.values() for key in differing(found, part)]


def _of_part(prefix: str, section: Section) -> Section:
    """A section of one of several experiments or settings: its heading and its pictures' files tell which."""
    if not prefix:
        return section
    stem, blocks = re.sub(r"\W+", "_", prefix), section.blocks
    if len(stem) > LONGEST:
        stem = f"{stem[:LONGEST]}_{fingerprint({'part': prefix})}"
    named = [one._replace(name=f"{stem}_{one.name}") if isinstance(one, Picture) else one for one in blocks]
    return section._replace(title=f"{prefix}: {section.title}", blocks=named)


def print_summary(sections: Sequence[Section]) -> None:
    """Print the first table of a report to the terminal."""
    [(header, *body), *_] = [block.rows for one in sections for block in one.blocks if isinstance(block, Table)]
    printed = rich.table.Table(*(name.strip("`") for name in header), title=ACCURACY, title_justify="left")
    for row in body:
        printed.add_row(*(cell.strip("`") for cell in row))
    rich.print(printed)


def curves(rows: Sequence[Row], axis: str, title: str) -> list[Section]:
    """Accuracy and loss by epoch for each name on an axis, folded away; nothing if no run finished."""
    drawn = [row for row in rows if "losses" in row]
    return fold("Training curves", [pictures.curves("curves", drawn, axis, title)] if drawn else [])


def two_axes(rows: Sequence[Row], row: str, column: str) -> list[Section]:
    """The sections of a study of two axes: accuracies, the subject's differences, and curves in the first column."""
    chance, first = guessing(rows), name_on(rows[0], column)
    rows = arranged(rows, row, make_grid(rows, row, column, guessing=chance).ranking)
    return [
        summary(rows, row=row, column=column, subject=SUBJECT, guessing=chance, worst=True),
        *fold("Differences", differences(rows, row, column, SUBJECT, guessing=chance)),
        *best_evaluations(rows, row, column, guessing=chance),
        *curves(only(rows, **{column: first}), row, f"{column.capitalize()}: {first}"),
    ]


def optimizer_settings(rows: Sequence[Row]) -> Section:
    """The compared optimizers' default settings and their sources."""
    names = [name for name in dict.fromkeys(name_on(row, "optimizer") for row in rows) if name in COMPARED]
    body = [["optimizer", "learning rate", "weight decay", "schedule", "source"]]
    for name in names:
        optimizer, source, schedule = COMPARED[name]
        rates = (optimizer.learning_rate, optimizer.weight_decay)
        body.append([f"`{name}`", *(f"{rate:g}" for rate in rates), schedule.name, source])
    return Section("Default settings", [Table(body, text=True)], folded=True)


def fold(title: str, blocks: Sequence[Block]) -> list[Section]:
    """A folded section; nothing if nothing is to be shown."""
    return [Section(title, blocks, folded=True)] if blocks else []


def only(rows: Sequence[Row], **names: str) -> list[Row]:
    """The rows with these names on these axes."""
    return [row for row in rows if all(name_on(row, axis) == name for axis, name in names.items())]


def sheets(runs: Sequence[Path]) -> list[Section]:
    """The distilled images that lie in the runs' directories."""
    found = {path.name: path for run in runs if run.is_dir() for path in sorted(run.glob("sheets/*.png"))}
    return fold("The distilled images", [read_png(path) for path in found.values()])


def configuration(rows: Sequence[Row]) -> Section:
    """How many runs there are, on what, and what is common to all of them, in a line."""
    finished = [row for row in rows if "recipe" in row]
    if not finished:
        return Section("Configuration", ["No run finished."])
    # One run may stand under several labels.
    runs = list({row.get("cell", number): row for number, row in enumerate(rows)}.values())
    seconds = sum(row.get("seconds", row["train_seconds"]) for row in runs if "recipe" in row)
    recorded = ("teacher_sha256", "student", "distilled", "recipe")
    found = [dict(flatten({name: row.get(name) for name in recorded})) for row in finished]
    common = [
        fact_text(key, text)
        for key, text in found[0].items()
        if text and key.startswith(SHOWN) and all(one.get(key) == text for one in found)
    ]
    parts = [
        f"{len(runs)} runs, {sum('failed' in row for row in runs)} failed",
        f"{duration(seconds)} of training and testing in all",
        ", ".join(dict.fromkeys(str(row["device"]) for row in finished)),
        ", ".join(f"{name} {number}" for name, number in finished[0]["versions"].items()),
        ", ".join(common),
    ]
    about = "`results.jsonl` has the complete configuration of each run."
    return Section("Configuration", [" · ".join(filter(None, parts)), about], folded=True)


SHOWN = (  # of what is common to all runs
    *("teacher_sha256", "student.options", "distilled.seed", "distilled.settings", "distilled.sha256"),
    *("recipe.optimizer.learning_rate", "recipe.optimizer.weight_decay", "recipe.epochs", "recipe.batch_size"),
    *("recipe.augment", "recipe.precision", "recipe.evaluations"),
)


def failures(rows: Sequence[Row]) -> list[Section]:
    """The reasons of failures, and the cells with their number of failed seeds."""
    failed: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if "failed" in row:
            reason = re.sub(r"^training stopped: the loss .* of seed \d+: | of seed \d+", "", row["reason"])
            failed[row["failed"], reason][", ".join(row["labels"].values())] += 1
    body = [
        [kind, reason, "; ".join(f"{name} ({count})" for name, count in cells.items())]
        for (kind, reason), cells in failed.items()
    ]
    about = "A diverged run counts as guessing wherever several runs are summarized."
    table = Table([["failed", "reason", "runs (seeds)"], *body], text=True)
    return [Section("Failed runs", [about, table])] if body else []


def listed_section(title: str, about: str, lines: Sequence[str]) -> list[Section]:
    """A section of a list; nothing if nothing is listed."""
    return [Section(title, ["\n".join([f"{about}\n", *(f"- {line}" for line in lines)])])] if lines else []


def first_of(names: Sequence[str], count: int) -> list[str]:
    """So many names, and how many more there are."""
    return [*names[:count], *([f"{len(names) - count} more"] if len(names) > count else [])]


def check_runs(runs: Sequence[Path]) -> None:
    """Whether every directory holds results. Raises: GiftError that names what else it holds to choose from."""
    if not runs:
        raise GiftError("give directories or results.jsonl files of runs to report on; see --help")
    for run in runs:
        if run.is_dir() and not any(run.glob("results*.jsonl")):
            mend = "give a directory that an experiment wrote"
            if inside := sorted({path.parent for path in run.glob("*/results*.jsonl")} | {*run.glob("*.jsonl")}):
                kind, names = "runs" if inside[0].is_dir() else "files of results", listed([p.name for p in inside])
                mend = f"it holds {len(inside)} {kind} ({names}); give those to be joined"
            raise GiftError(f"{run}: holds no results*.jsonl; {mend}")


def missing_parts(rows: Iterable[Row], runs: Sequence[Path]) -> list[str]:
    """Parts of studies of which not all is there, by the cells that `run_grid` lists beside their results.

    Earlier versions listed none: there, the files of parts that lack beside others are missing, unless the study's
    `results.jsonl` has the rest.
    """
    found = {path for run in runs for path in (run.glob("results*.jsonl") if run.is_dir() else [run])}
    parts = {(path, re.fullmatch(r"results-\d+-of-(\d+)", path.stem)) for path in found}
    grids = [path for directory in sorted({path.parent for path in found}) for path in sorted(directory.glob(GRIDS))]
    cells: dict[Path, dict[str, str]] = defaultdict(dict)  # a study that was grown has two grids
    for path in {path.name: path for path in grids}.values():  # several machines' directories list one grid
        for name, own in read_grid(path).items():
            cells[path.parent / name] |= own
    known = {row_key(row["experiment"], row["cell"], row["labels"]) for row in rows if {"cell", "labels"} <= row.keys()}
    missing = []
    for path, names in cells.items():
        if lacking := [name for key, name in names.items() if key not in known]:
            missing.append(f"`{path}`: {len(lacking)} of {len(names)} students, {lacking[0]} among them")
    for directory, count in sorted({(path.parent, int(match[1])) for path, match in parts if match}):
        own = {path for path, match in parts if match and path.parent == directory}
        listed = any(path.parent == directory for path in grids)
        if not listed and not _studies(own) & _studies(found & {directory / "results.jsonl"}):
            names = [directory / Shard(number, count).file_name for number in range(1, count + 1)]
            missing += [f"`{path}`" for path in names if path not in found]
    return missing


def _studies(paths: Iterable[Path]) -> set[str | None]:
    """The experiments whose rows are in files; None is that of evaluations."""
    return {row.get("experiment") for path in paths for row in read_results(path)}


def missing_cells(rows: Sequence[Row]) -> list[str]:
    """Names of the cells, and of their seeds, that would fill the grids of each experiment.

    Rows of an experiment whose labels have the same axes are a grid, with the seeds. Studies of several questions name
    what is missing by themselves.
    """
    grids: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        if QUESTION not in row.get("labels", {}):
            grids[row.get("experiment"), tuple(row.get("labels", {}))].append(row)
    return [name for (_, axes), own in grids.items() for name in unfilled(own, axes)]


def unfilled(rows: Sequence[Row], axes: Sequence[str]) -> list[str]:
    """Cells of a grid of these axes and of seeds that no row fills: `kl, sgd`, or `kl, sgd, seed 2`."""
    seeds: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for row in rows:
        seeds[tuple(row["labels"][axis] for axis in axes)].add(row["seed"])
    every = sorted({seed for found in seeds.values() for seed in found})
    missing = []
    for cell in itertools.product(*(dict.fromkeys(names) for names in zip(*seeds, strict=True))):
        lacking = [seed for seed in every if seed not in seeds.get(cell, set())]
        name = ", ".join(cell)
        missing += [name] if lacking == every else [f"{name}, seed {seed}" for seed in lacking]
    return missing
