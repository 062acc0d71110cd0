"""Tables of results and words about them: means with their spread and n, the worst case beside them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Mean and sample standard deviation (ddof 1; 0 for one run) of n runs, in percent, of which some diverged.

    Runs that diverged count with the accuracy of guessing (`summarize`).
    """

    mean: float
    std: float
    n: int
    diverged: int = 0

    def __str__(self) -> str:
        if self.diverged == self.n:
            return "diverged"
        lost = f" ({self.diverged} of {self.n} diverged)" if self.diverged else ""
        return f"{self.mean:.1f} ± {self.std:.1f}{lost}"


class Grid(NamedTuple):
    """Cells by (row, column) names, which are in the order of their first appearance."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Summary]

    def worst(self, row: str) -> Summary:
        """The row's cell of lowest mean."""
        return min((self.cells[row, column] for column in self.columns), key=lambda cell: cell.mean)

    def ranking(self, column: str) -> list[str]:
        """Rows by mean in the column, best first."""
        return sorted(self.rows, key=lambda row: -self.cells[row, column].mean)


def make_grid(
    results: Iterable[Mapping[str, Any]], row: str, column: str, value: str = "top1_last", guessing: float = 0.0
) -> Grid:
    """Group results by two of their fields or labels.

    Args: guessing, the accuracy in percent that a diverged run counts with. Returns: a grid, of which a missing
    combination is an error (KeyError) when it is looked up.
    """
    groups: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    for result in results:
        names = (name_on(result, row), name_on(result, column))
        groups[names].append(None if "failed" in result else result[value])
    cells = {names: summarize(values, guessing) for names, values in groups.items()}
    rows, columns = (tuple(dict.fromkeys(names[axis] for names in groups)) for axis in (0, 1))
    return Grid(rows, columns, cells)


def name_on(result: Mapping[str, Any], axis: str) -> str:
    """A result's name along an axis: its label, or else its field."""
    labels = result.get("labels", {})
    return labels[axis] if axis in labels else result[axis]


def summarize(values: Sequence[float | None], guessing: float = 0.0) -> Summary:
    """Mean and sample standard deviation of some runs; None diverged and counts as guessing, in percent."""
    figures = [guessing if value is None else value for value in values]
    std = float(np.std(figures, ddof=1)) if len(figures) > 1 else 0.0
    return Summary(float(np.mean(figures)), std, len(figures), sum(value is None for value in values))


def counts(grid: Grid) -> str:
    """How many runs a cell has: `n = 3`, or `n = 2 to 3`."""
    numbers = sorted({cell.n for cell in grid.cells.values()})
    return f"n = {numbers[0]}" if len(numbers) == 1 else f"n = {numbers[0]} to {numbers[-1]}"


def number_of(count: int) -> str:
    """`2 are`, `1 is`, `none is`."""
    return f"{count or 'none'} {'are' if count > 1 else 'is'}"


def table_rows(grid: Grid, corner: str) -> list[list[str]]:
    """The grid as text with a header and the worst column's figure at the end; rows by that figure, best first."""
    order = sorted(grid.rows, key=lambda row: -grid.worst(row).mean)
    body = [[row, *(str(grid.cells[row, column]) for column in grid.columns), str(grid.worst(row))] for row in order]
    return [[corner, *grid.columns, "worst"], *body]


def markdown_table(rows: Sequence[Sequence[str]], *, text: bool = False) -> str:
    """A Markdown table from a header and rows; columns after the first are right-aligned unless they are text."""
    rule = ["---"] + ["---" if text else "---:"] * (len(rows[0]) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))


def describe(grid: Grid, subject: str) -> str:
    """Say in words what a grid's means show about one row, its defeats included, and nothing else."""
    best = [column for column in grid.columns if grid.ranking(column)[0] == subject]
    where = f"{len(best)} of {len(grid.columns)} ({', '.join(best)})" if best else f"none of {len(grid.columns)}"
    sentences = [f"By mean, `{subject}` is best under {where}."]
    for column in grid.columns:
        winner = grid.ranking(column)[0]
        if winner != subject:
            gap = grid.cells[winner, column].mean - grid.cells[subject, column].mean
            spread = max(grid.cells[winner, column].std, grid.cells[subject, column].std)
            size = "within one standard deviation" if gap <= spread else "more than one standard deviation"
            sentences.append(f"Under {column} it loses to `{winner}` by {gap:.1f} points, {size} ({spread:.1f}).")
    falls = {row: max(grid.cells[row, c].mean for c in grid.columns) - grid.worst(row).mean for row in grid.rows}
    furthest = max(falls, key=lambda row: falls[row])
    fall = f"From its best to its worst column `{subject}` falls by {falls[subject]:.1f} points"
    sentences.append(f"{fall}; `{furthest}` falls furthest, by {falls[furthest]:.1f}.")
    order = sorted(grid.rows, key=lambda row: -grid.worst(row).mean)
    place = order.index(subject) + 1
    worst = ", ".join(f"`{row}` {grid.worst(row).mean:.1f}" for row in order)
    sentences.append(f"In the worst column it is number {place} of {len(order)}: {worst}.")
    return " ".join(sentences)
