"""Pictures for reports: grids as heat maps or points with their spread, curves, the distilled images themselves.

Colours are cividis and those of Okabe and Ito, which colour-blind eyes tell apart; line styles and markers differ too.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gift_jax.checkpoint import Teacher
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.pixels import to_input
from gift_jax.files import reported
from gift_jax.heatmap import draw_grid
from gift_jax.page import Picture
from gift_jax.report import Grid, name_on

# Okabe and Ito (2008), without yellow, which white paper swallows; then again with another marker and line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS, LINES = "osD^vP*X<>ph", ("-", "--", ":", "-.")
SHEET_CLASSES, SHEET_IMAGES = 10, 10  # of a contact sheet


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any) -> str:
    """The figure as SVG whose text is text, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gift_jax"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def style(index: int) -> dict[str, Any]:
    """Colour, marker and line of a series."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index // len(COLOURS) % len(LINES)],
    }


def heat_map(name: str, grid: Grid, title: str, *, worst: bool = True) -> Picture:
    """The grid as a heat map; with worst, ordered by the worst column, which is set apart."""
    figure = _figure(2.4 + 0.95 * (len(grid.columns) + worst), 1.2 + 0.6 * len(grid.rows))
    draw_grid(figure, figure.add_subplot(), grid, title, worst=worst)
    return Picture(name, f"{title}: heat map of {len(grid.rows)} by {len(grid.columns)} cells", _svg(figure))


def points(name: str, grid: Grid, title: str, label: str = "top-1 accuracy, %") -> Picture:
    """Means with their standard deviations: columns side by side, a colour and a marker for each row of the grid."""
    figure = _figure(max(7.0, 1.2 * len(grid.columns) + 2), 4.2)
    axes, count = figure.add_subplot(), len(grid.rows)
    for index, row in enumerate(grid.rows):
        cells = [grid.cells[row, column] for column in grid.columns]
        places = np.arange(len(cells)) + 0.7 * ((index + 0.5) / count - 0.5)
        drawn = {**style(index), "linestyle": "none", "capsize": 3, "label": row}
        axes.errorbar(places, [cell.mean for cell in cells], [cell.std for cell in cells], **drawn)
    for place in range(1, len(grid.columns)):
        axes.axvline(place - 0.5, color="#cccccc", linewidth=0.8)
    axes.set_xticks(range(len(grid.columns)), grid.columns)
    axes.set(title=title, ylabel=label, xlim=(-0.5, len(grid.columns) - 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    return Picture(name, f"{title}: mean and standard deviation of {', '.join(grid.rows)}", _svg(figure))


def curves(name: str, results: Iterable[Mapping[str, Any]], axis: str, title: str) -> Picture:
    """Accuracy at every look and loss relative to the first epoch's, mean over all runs of each name on the axis."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in results:
        if "failed" not in result:
            groups[name_on(result, axis)].append(result)
    figure = _figure(10.5, 4.0)
    left, right = figure.subplots(1, 2)
    for index, (label, runs) in enumerate(groups.items()):
        line = {**style(index), "markersize": 4}
        left.plot(*_looks(runs), **line, label=label)
        right.plot(*_losses(runs), **{**line, "marker": None})
    left.set(title=title, xlabel="epoch", ylabel="top-1 accuracy, %")
    right.set(title="training loss over its first epoch's", xlabel="epoch", yscale="log")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    return Picture(name, f"{title}: accuracy and loss by epoch for {', '.join(groups)}", _svg(figure))


def _looks(runs: Sequence[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    epochs = [look["epoch"] for look in runs[0]["history"]]
    same = [run for run in runs if [look["epoch"] for look in run["history"]] == epochs]
    return epochs, np.mean([[look["top1"] for look in run["history"]] for run in same], axis=0)


def _losses(runs: Sequence[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    epochs = [epoch for epoch, _ in runs[0]["losses"]]
    same = [run for run in runs if [epoch for epoch, _ in run["losses"]] == epochs]
    values = np.array([[value for _, value in run["losses"]] for run in same])
    return epochs, np.mean(values / values[:, :1], axis=0)


def contact_sheet(name: str, distilled: DistilledSet, teacher: Teacher | None, names: Sequence[str]) -> Picture:
    """The first images of the first classes, with their label and the three classes the teacher gives most to.

    Args: names, of the classes by id. A set's stored soft labels take the place of a teacher.
    """
    rows = [np.flatnonzero(distilled.labels == label)[:SHEET_IMAGES] for label in range(SHEET_CLASSES)]
    rows = [row for row in rows if len(row)]
    columns = max(map(len, rows))
    figure = _figure(1.12 * columns, 1.42 * len(rows))
    sheet = figure.subplots(len(rows), columns, squeeze=False)
    for axes in sheet.flat:
        axes.set_axis_off()
    for axes, index in ((sheet[i, j], index) for i, row in enumerate(rows) for j, index in enumerate(row)):
        axes.imshow(_displayed(distilled.images[index]), cmap="gray", interpolation="nearest")
        axes.set_title(names[int(distilled.labels[index])], fontsize=8, fontweight="bold", pad=2)
        guesses = "\n".join(_top3(distilled, teacher, int(index), names))
        axes.text(0.5, -0.04, guesses, transform=axes.transAxes, ha="center", va="top", fontsize=5.5)
    shown = sum(map(len, rows))
    alt = (
        f"{shown} of the {len(distilled.labels)} images of the {distilled.method} set: label above, the teacher's "
        + ("three likeliest classes with their probabilities below")
    )
    buffer = io.BytesIO()
    # The file tells what it shows: reports that take it from a directory read that (`read_png`).
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None, "Description": alt})
    return Picture(name, alt, buffer.getvalue())


def read_png(path: Path) -> Picture:
    """A contact sheet from its file."""
    with reported(path):
        content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        return Picture(path.stem, str(image.info.get("Description", path.stem)), content)


def _displayed(image: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1]: whitened and normalised ones stretched over it."""
    if image.dtype == np.uint8:
        image = image / 255
    low, high = (0.0, 1.0) if image.min() >= 0 and image.max() <= 1 else (image.min(), image.max())
    scaled = (image - low) / (high - low)
    return scaled[..., 0] if image.shape[-1] == 1 else scaled


def _top3(distilled: DistilledSet, teacher: Teacher | None, index: int, names: Sequence[str]) -> list[str]:
    """`name probability` of the three likeliest classes."""
    if teacher is not None:
        image: Any = distilled.images[index : index + 1]
        inputs = to_input(image, distilled.pixel_space, teacher.info.normalisation)
        logits = np.asarray(teacher.logits(inputs))[0]
    elif distilled.soft_labels is not None:
        logits = distilled.soft_labels[index]
    else:
        return []
    weights = np.exp(logits - logits.max())
    best = np.argsort(-weights)[:3]
    return [f"{names[label]} {weights[label] / weights.sum():.2f}" for label in best]
