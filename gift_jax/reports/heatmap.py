"""Grids as heat maps, and the distilled images beside them.

The colour scale, cividis, is the same for colour-blind eyes and in grey print.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gift_jax.reports.tables import Grid, Summary
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error


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
    draw_grid(figure, figure.add_subplot(spaces[1]), grid, title, worst=True)
    with atomic_write(path) as temporary, os_errors_as_gift_error(path):
        figure.savefig(temporary, dpi=150)


def _draw_sheet(axes: Any, images: np.ndarray, title: str) -> None:
    """One picture of all images, dark on light, with a light line between them."""
    framed = np.pad(
        images.astype(float), ((0, 0), (0, 0), (0, 1), (0, 1), *((0, 0),) * (images.ndim - 4)), constant_values=0
    )
    axes.imshow(np.concatenate(np.concatenate(framed, axis=1), axis=1), cmap="gray_r", interpolation="nearest")
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_axis_off()


def draw_grid(figure: Any, axes: Any, grid: Grid, title: str, *, worst: bool) -> None:
    """The grid as a heat map; with worst, rows are ordered by their worst column, which is set apart at the end."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    rows = sorted(grid.rows, key=lambda row: -grid.worst(row).mean) if worst else list(grid.rows)
    columns = [[grid.cells[row, column] for row in rows] for column in grid.columns]
    names, places = [*grid.columns], [float(place) for place in range(len(grid.columns))]
    if worst:
        columns.append([grid.worst(row) for row in rows])
        names, places = [*names, "worst"], [*places, len(grid.columns) + 0.25]
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
            axes.text(place, index, _cell_text(cell), ha="center", va="center", color=colour, fontsize=12)
    axes.set(xlim=(-0.5, places[-1] + 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(places, names, fontsize=12, **slant(names, 10))
    axes.set_yticks(range(len(rows)), rows, fontsize=12)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=12, wrap=True)  # into lines, where the grid is narrower than it
    figure.colorbar(ScalarMappable(**colours), ax=axes, label="top-1 accuracy, %", fraction=0.04, pad=0.02)


def slant(names: Sequence[str], longest: int) -> dict[str, Any]:
    """Options of tick labels: slanted if one has more letters than fit beside its neighbours."""
    crowded = max(map(len, names), default=0) > longest
    return {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if crowded else {}


def _cell_text(cell: Summary) -> str:
    return "diverged" if cell.diverged == cell.n else f"{cell.mean:.1f}\n±{cell.std:.1f}" + "*" * bool(cell.diverged)
