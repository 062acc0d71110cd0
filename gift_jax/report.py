"""Tables and plots of results: means with their spread and n, the worst case beside them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gift_jax.files import written_whole


class Cell(NamedTuple):
    """Mean and sample standard deviation (ddof 1; 0 for one run) of n runs, in percent."""

    mean: float
    std: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.std:.1f}"


class Grid(NamedTuple):
    """Cells by (row, column) names, which are in the order of their first appearance."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]

    def worst(self, row: str) -> Cell:
        """The row's cell of lowest mean."""
        return min((self.cells[row, column] for column in self.columns), key=lambda cell: cell.mean)

    def ranking(self, column: str) -> list[str]:
        """Rows by mean in the column, best first."""
        return sorted(self.rows, key=lambda row: -self.cells[row, column].mean)


def make_grid(results: Iterable[Mapping[str, Any]], row: str, column: str, value: str = "top1_last") -> Grid:
    """Group results by two of their fields. Returns: a full grid; a missing combination is an error (KeyError)."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result in results:
        groups[result[row], result[column]].append(result[value])
    cells = {names: make_cell(values) for names, values in groups.items()}
    rows, columns = (tuple(dict.fromkeys(names[axis] for names in groups)) for axis in (0, 1))
    return Grid(rows, columns, cells)


def make_cell(values: Sequence[float]) -> Cell:
    """Mean and sample standard deviation of some runs."""
    return Cell(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, len(values))


def table_rows(grid: Grid, corner: str) -> list[list[str]]:
    """The grid as text with a header and the worst column's figure at the end; rows by that figure, best first."""
    order = sorted(grid.rows, key=lambda row: -grid.worst(row).mean)
    body = [[row, *(str(grid.cells[row, column]) for column in grid.columns), str(grid.worst(row))] for row in order]
    return [[corner, *grid.columns, "worst"], *body]


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table from a header and rows; columns after the first are right-aligned."""
    rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))


def describe(grid: Grid, subject: str) -> str:
    """Say in words what a grid's means show about one row, its defeats included, and nothing else."""
    best = [column for column in grid.columns if grid.ranking(column)[0] == subject]
    sentences = [f"By mean, `{subject}` is best under {len(best)} of {len(grid.columns)} ({_names(best)})."]
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


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def save_heatmap(path: Path, grid: Grid, *, title: str, images: np.ndarray, images_title: str) -> None:
    """Draw the distilled images and, beside them, the grid as a heat map with its worst column set apart.

    Args: images, [rows, columns, H, W] or [rows, columns, H, W, C]. The colour scale (cividis) is the same for
    colour-blind eyes and in grey print; the best row of each column is framed.
    """
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

    figure = Figure(figsize=(13.5, 5.6), layout="constrained")
    spaces = GridSpec(1, 2, figure, width_ratios=(1, 1.55))
    _draw_sheet(figure.add_subplot(spaces[0]), images, images_title)
    _draw_grid(figure, figure.add_subplot(spaces[1]), grid, title)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw_sheet(axes: Any, images: np.ndarray, title: str) -> None:
    """One picture of all images, dark on light, with a light line between them."""
    framed = np.pad(
        images.astype(float), ((0, 0), (0, 0), (0, 1), (0, 1), *((0, 0),) * (images.ndim - 4)), constant_values=0
    )
    axes.imshow(np.concatenate(np.concatenate(framed, axis=1), axis=1), cmap="gray_r", interpolation="nearest")
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_axis_off()


def _draw_grid(figure: Any, axes: Any, grid: Grid, title: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    rows = sorted(grid.rows, key=lambda row: -grid.worst(row).mean)
    columns = [[grid.cells[row, column] for row in rows] for column in grid.columns]
    columns.append([grid.worst(row) for row in rows])
    places = [*range(len(grid.columns)), len(grid.columns) + 0.25]
    low, high = min(c.mean for column in columns for c in column), max(c.mean for column in columns for c in column)
    colours: Any = {"norm": Normalize(low, high), "cmap": "cividis"}
    for place, cells in zip(places, columns, strict=True):
        means = np.array([[cell.mean] for cell in cells])
        extent = (place - 0.5, place + 0.5, len(rows) - 0.5, -0.5)
        axes.imshow(means, **colours, extent=extent, aspect="auto")
        best = int(np.argmax(means))
        axes.add_patch(
            Rectangle((place - 0.48, best - 0.48), 0.96, 0.96, fill=False, edgecolor="#d62728", linewidth=2.5)
        )
        for index, cell in enumerate(cells):
            colour = "black" if (cell.mean - low) > 0.55 * (high - low) else "white"
            axes.text(
                place, index, f"{cell.mean:.1f}\n±{cell.std:.1f}", ha="center", va="center", color=colour, fontsize=12
            )
    axes.set(xlim=(-0.5, places[-1] + 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(places, [*grid.columns, "worst"], fontsize=12)
    axes.set_yticks(range(len(rows)), rows, fontsize=12)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=12)
    figure.colorbar(ScalarMappable(**colours), ax=axes, label="top-1 accuracy, %", fraction=0.04, pad=0.02)
