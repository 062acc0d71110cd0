"""Tables of results: means with their spread and n, and a row for each setting that differs."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.reports.page import Table

SPREAD = "mean ± sample standard deviation"
Result = Mapping[str, Any]


class Summary(NamedTuple):
    """Mean and sample standard deviation (ddof 1) of n runs, in percent, of which some diverged.

    A figure that there is not is nan: the deviation of one run, and both without any run.
    """

    mean: float = math.nan
    std: float = math.nan
    n: int = 0
    diverged: int = 0

    def __str__(self) -> str:
        if self.n and self.diverged == self.n:
            return "diverged"
        return self.text() + (f" ({self.diverged} of {self.n} diverged)" if self.diverged else "")

    def text(self, form: str = ".1f") -> str:
        """`50.0 ± 1.2`, without a spread `50.0`, and `-` without a mean. Args: form, of both; `+` is the mean's."""
        spread = "" if math.isnan(self.std) else f" ± {self.std:{form.lstrip('+')}}"
        return "-" if math.isnan(self.mean) else f"{self.mean:{form}}{spread}"


class Grid(NamedTuple):
    """Cells by (row, column) names, which are `in_order`; some may be missing."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Summary]

    def cell(self, row: str, column: str) -> Summary:
        """A cell; one without runs where it is missing."""
        return self.cells.get((row, column), Summary())

    def worst(self, row: str) -> Summary:
        """The row's cell of lowest mean; one without runs if a cell is missing."""
        cells = [self.cell(row, column) for column in self.columns]
        return min(cells, key=lambda cell: cell.mean) if all(cell.n for cell in cells) else Summary()

    @property
    def ranking(self) -> list[str]:
        """The rows by their worst column, the best first."""
        return sorted(self.rows, key=lambda row: -np.nan_to_num(self.worst(row).mean, nan=-1.0))

    @property
    def n(self) -> str:
        """How many runs a cell has: `n = 3`, or `n = 2 to 3`."""
        return count(cell.n for cell in self.cells.values())


def count(numbers: Iterable[int]) -> str:
    """`n = 3`, or `n = 2 to 3`."""
    found = sorted({*numbers})
    return f"n = {found[0]}" if len(found) == 1 else f"n = {found[0]} to {found[-1]}"


def make_grid(
    results: Iterable[Result], row: str, column: str, value: str = "top1_last", guessing: float = 0.0
) -> Grid:
    """Group results by two of their fields or labels; results of two settings never share a cell (`names_apart`).

    Args:
        results: rows of `results.jsonl`.
        row: field or label that names the grid's rows.
        column: field or label that names its columns.
        value: field of the figure.
        guessing: accuracy in percent that a diverged run counts with.
    """
    groups: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for *names, result in names_apart(results, row, column):
        groups[names[0], names[1]].append(None if "failed" in result else result[value])
    return grid_of({names: summarize(values, guessing) for names, values in groups.items()})


def grid_of(cells: Mapping[tuple[str, str], Summary]) -> Grid:
    """A grid of cells by (row, column)."""
    rows, columns = (in_order(names[axis] for names in cells) for axis in (0, 1))
    return Grid(rows, columns, cells)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names once each, in the order of their first appearance; numbers ascend."""
    found = tuple(dict.fromkeys(names))
    try:
        return tuple(sorted(found, key=float))
    except ValueError:
        return found


def arranged(results: Sequence[Result], axis: str, order: Sequence[str]) -> list[Result]:
    """Results in the order of their names on an axis, so that all tables have one; those of other names come last."""
    ranks = {name: rank for rank, name in enumerate(order)}
    return sorted(results, key=lambda result: ranks.get(name_on(result, axis), len(ranks)))


def name_on(result: Result, axis: str) -> str:
    """A result's name along an axis: its label, or else its field."""
    labels = result.get("labels", {})
    return labels[axis] if axis in labels else result[axis]


def figure(result: Result, guessing: float, name: str = "top1_last") -> float:
    """A run's accuracy in percent; a diverged one guesses."""
    return guessing if "failed" in result else result[name]


def summarize(values: Iterable[float | None], guessing: float = 0.0) -> Summary:
    """Mean and sample standard deviation of some runs; None diverged and counts as guessing, in percent."""
    found = [*values]
    figures = [guessing if value is None else value for value in found]
    std = float(np.std(figures, ddof=1)) if len(figures) > 1 else math.nan
    return Summary(float(np.mean(figures)), std, len(figures), sum(value is None for value in found))


def grid_table(grid: Grid, corner: str, *, worst: bool = False) -> Table:
    """A grid with its n as a table; with worst, rows are ordered by their worst column, which ends them."""
    header, body = [f"{corner} ({grid.n})", *grid.columns, *["worst"] * worst], []
    for row in grid.ranking if worst else grid.rows:
        cells = [grid.cell(row, column) for column in grid.columns] + [grid.worst(row)] * worst
        body.append([f"`{row}`", *map(str, cells)])
    return Table([header, *body])


# What decides a result, but for its seed.
DECISIVE = ("method", "dataset", "ipc", "model", "student", "teacher", "teacher_sha256", "recipe", "soft_labels",
            "distilled", "digests", "setting")  # fmt: skip
# What each seed of a study has of its own: the order of stored labels, images that are made for it, and the digests of
# both; an earlier version had one digest of everything, the setting.
BY_SEED, MADE = re.compile(r"soft_labels\.(order|distilled)|digests\.stored_labels|setting"), "distilled.made"


def facts(result: Result) -> dict[str, str]:
    """What decided a result, but for its seed, as text by dotted names. An old failed one knows recipe and student."""
    configuration = result.get("configuration", {})
    known = {name: configuration[name] for name in ("recipe", "student") if name in configuration}
    told = {**result.get("record", {}), **result}
    found = {name: told[name] for name in DECISIVE if name in told}
    own = dict(flatten({**known, **found}))
    if "labels" in result:
        made = (MADE, "digests.images") if MADE in own else ()
        own = {key: text for key, text in own.items() if key not in made and not BY_SEED.fullmatch(key)}
    return own | {f"labels.{name}": str(text) for name, text in result.get("labels", {}).items()}


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, text) of every leaf of JSON that is not empty; pairs in lists are named by their first part."""
    if isinstance(value, list | tuple) and value and all(_is_option(item) for item in value):
        value = dict(value)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}".lstrip("."))
    elif "." not in name or (value is not None and value != []):
        yield name, value if isinstance(value, str) else json.dumps(value)


def _is_option(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str)


def differing(found: Sequence[Mapping[str, str]], part: str = "") -> list[str]:
    """The names of facts, or of the facts of one part, in which some results differ.

    What a result says nothing about makes no difference. A digest is named where nothing else tells two results apart.
    """
    keys = [key for key in dict.fromkeys(key for one in found for key in one) if is_part(key, part)]
    named = _differing(found, [key for key in keys if not _DIGEST.match(key)])
    alike: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
    for one in found:
        alike[tuple(one.get(key, "") for key in named)].append(one)
    digests = [key for key in keys if _DIGEST.match(key)]
    return list(dict.fromkeys([*named, *(key for same in alike.values() for key in _differing(same, digests))]))


_DIGEST, UNKNOWN = re.compile(r"digests\.|setting$"), "unknown"


def _differing(found: Sequence[Mapping[str, str]], keys: Sequence[str]) -> list[str]:
    return [key for key in keys if len({known_text(one, key) for one in found} - {UNKNOWN}) > 1]


def is_part(key: str, part: str) -> bool:
    """Whether a fact's dotted name is a part's, or of something in it; of "" everything is a part."""
    return not part or f"{key}.".startswith(f"{part}.")


def known_text(found: Mapping[str, str], key: str) -> str:
    """A fact of a result; "" of one that has its default, `unknown` of one that nothing is known about."""
    if key in found:
        return found[key]
    root = key.partition(".")[0]
    return "" if any(is_part(name, root) for name in found) else UNKNOWN


def fact_text(key: str, text: str) -> str:
    """A fact as part of a name: `learning rate 0.1`, `student width 64`, `teacher 418d7d74`, `default weight`."""
    root, _, rest = key.partition(".")
    kind = {"student": "student ", "distilled": "set ", "soft_labels": "stored labels "}.get(root, "") if rest else ""
    name = f"{kind}{key.rpartition('.')[2].removesuffix('_sha256').replace('_', ' ')}"
    if text in ("", "null"):
        return f"{'default' if rest else 'no'} {name}"
    is_digest = len(text) >= 16 and set(text) <= set("0123456789abcdef")
    return f"{name} {text[:8] if is_digest else text}"


def names_apart(results: Iterable[Result], axis: str, other: str) -> list[tuple[str, str, Result]]:
    """(name on axis, name on the other axis, result): two settings under one pair of names get what they differ in.

    All results of a name on the first axis get it as soon as one cell of that name holds two settings. Seeds of one
    setting stay together; nothing else does. Raises: GiftError if two runs of one seed differ in nothing that is known.
    """
    results = [*results]
    cells: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        cells[name_on(result, axis), name_on(result, other)].append(result)
    mixed: dict[str, dict[str, None]] = defaultdict(dict)
    for (name, _), found in cells.items():
        if any(_decisive(result) != _decisive(found[0]) for result in found):
            mixed[name] |= dict.fromkeys(differing([facts(result) for result in found]))
    named, cells_of = [], defaultdict(set)
    for result in results:
        name, own = name_on(result, axis), facts(result) if name_on(result, axis) in mixed else {}
        parts = [fact_text(key, known_text(own, key)) for key in mixed.get(name, ())]
        names = ", ".join([name, *parts]), name_on(result, other)
        named.append((*names, result))
        cells_of[*names, result.get("seed")].add(result.get("cell"))
    if twice := next((names for names, found in cells_of.items() if len(found) > 1), None):
        one, two, seed = twice
        raise GiftError(
            f"{one}, {two}, seed {seed}: two runs differ in something that their results do not name; report on them "
            "apart (--out of their own)"
        )
    return named


def _decisive(result: Result) -> list[Any]:
    return ["failed" in result, *(result.get(name) for name in (*DECISIVE, "labels"))]
