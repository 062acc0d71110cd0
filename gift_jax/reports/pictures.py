"""Pictures for reports: grids as heat maps or points with their spread, and curves.

Heat maps are in cividis. Series have eight colours that colour-blind eyes tell apart, and markers and lines that differ
in grey print.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gift_jax.losses import LOSSES
from gift_jax.reports.heatmap import draw_grid, slant
from gift_jax.reports.page import Picture
from gift_jax.reports.tables import Grid, Summary, make_grid, name_on

# Okabe and Ito (2008) with a dark brown in place of yellow, which is lost on white paper. Colours of similar lightness
# have lines of different kinds.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#772200", "#000000")
MARKERS = "osD^vP*X<>ph"
DASHES = ((1, 2.5), (3, 1, 1, 1, 1, 1), (6, 1, 1, 1), (9, 2), (4, 4))
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", *((0, dash) for dash in DASHES))
FAMILIAR = (*LOSSES, "kl_t2")  # the losses look the same in every picture
CROWDED = 6  # rates along an axis, of which more are written smaller
MARKED = 20  # points of a curve at most have markers
NARROWEST = 7.0  # inches, that a title has room


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure, of a size in inches, without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Any) -> str:
    """The figure as SVG whose text is text, the same bytes for the same figure."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gift_jax"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def style(index: int) -> dict[str, Any]:
    """Colour, marker and line of a series: the first eight share none of them."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The look of each series: a loss has its own everywhere; others look as their place in the list decides."""
    losses = set(names) <= set(FAMILIAR)
    return {name: style(FAMILIAR.index(name) if losses else place) for place, name in enumerate(names)}


def heat_map(name: str, grid: Grid, title: str, *, worst: bool = True) -> Picture:
    """The grid as a heat map; with worst, ordered by the worst column, which is set apart."""
    width = max(NARROWEST, 2.4 + 0.95 * (len(grid.columns) + worst))
    figure = new_figure(width, 1.2 + 0.6 * len(grid.rows))
    draw_grid(figure, figure.add_subplot(), grid, title, worst=worst)
    return Picture(name, f"{title}: heat map of {len(grid.rows)} by {len(grid.columns)} cells", to_svg(figure))


def points(name: str, grid: Grid, title: str, label: str = "top-1 accuracy, %", *, sideways: bool = False) -> Picture:
    """Means with their standard deviations: a colour and a marker for each row of the grid, columns side by side.

    Args: sideways, columns one below the other instead, for many of them or long names.
    """
    size = (8.5, 1.4 + 0.42 * len(grid.columns)) if sideways else (max(NARROWEST, 1.2 * len(grid.columns) + 2), 4.2)
    figure = new_figure(*size)
    axes, count, looks = figure.add_subplot(), len(grid.rows), styles(grid.rows)
    for index, row in enumerate(grid.rows):
        cells = [grid.cells[row, column] for column in grid.columns]
        places = np.arange(len(cells)) + 0.7 * ((index + 0.5) / count - 0.5)
        means, spreads = [cell.mean for cell in cells], [cell.std for cell in cells]
        drawn = {**looks[row], "linestyle": "none", "capsize": 3, "label": row}
        if sideways:
            axes.errorbar(means, places, xerr=spreads, **drawn)
        else:
            axes.errorbar(places, means, spreads, **drawn)
    line = axes.axhline if sideways else axes.axvline
    for place in range(1, len(grid.columns)):
        line(place - 0.5, color="#cccccc", linewidth=0.8)
    if sideways:
        axes.set_yticks(range(len(grid.columns)), grid.columns)
        axes.set(xlabel=label, ylim=(len(grid.columns) - 0.5, -0.5))
    else:
        axes.set_xticks(range(len(grid.columns)), grid.columns, **slant(grid.columns, 14))
        axes.set(ylabel=label, xlim=(-0.5, len(grid.columns) - 0.5))
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    return Picture(name, f"{title}: mean and standard deviation of {', '.join(grid.rows)}", to_svg(figure))


def curves(name: str, results: Iterable[Mapping[str, Any]], axis: str, title: str) -> Picture:
    """Accuracy at every look and loss relative to the first epoch's, mean over all runs of each name on the axis."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in results:
        if "failed" not in result:
            groups[name_on(result, axis)].append(result)
    figure = new_figure(10.5, 4.0)
    left, right = figure.subplots(1, 2)
    looks = styles([*groups])
    for label, runs in groups.items():
        line = {**looks[label], "markersize": 4}
        epochs, means = _looks(runs)
        left.plot(epochs, means, **line, label=label, markevery=-(-len(epochs) // MARKED))
        right.plot(*_losses(runs), **{**line, "marker": None})
    left.set(title=title, xlabel="epoch", ylabel="top-1 accuracy, %")
    right.set(title="training loss relative to the first epoch", xlabel="epoch", yscale="log")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    return Picture(name, f"{title}: accuracy and loss by epoch for {', '.join(groups)}", to_svg(figure))


def _looks(runs: Sequence[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    epochs = [look["epoch"] for look in runs[0]["history"]]
    same = [run for run in runs if [look["epoch"] for look in run["history"]] == epochs]
    return epochs, np.mean([[look["top1"] for look in run["history"]] for run in same], axis=0)


def _losses(runs: Sequence[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    epochs = [epoch for epoch, _ in runs[0]["losses"]]
    same = [run for run in runs if [epoch for epoch, _ in run["losses"]] == epochs]
    values = np.array([[value for _, value in run["losses"]] for run in same])
    return epochs, np.mean(values / values[:, :1], axis=0)


def panels(
    name: str, results: Iterable[Mapping[str, Any]], *, panel: str, line: str, x: str, guessing: float = 0.0
) -> Picture:
    """Accuracy over a numeric axis x, on a logarithmic scale: a panel for each name on one axis, a line for another."""
    rows = list(results)
    places, lines = ([*dict.fromkeys(name_on(row, axis) for row in rows)] for axis in (panel, line))
    columns, looks = min(len(places), 4), styles(lines)
    height = -(-len(places) // columns)
    figure = new_figure(3.0 * columns + 1.2, 2.5 * height)
    alike = len({frozenset(name_on(row, x) for row in rows if name_on(row, panel) == place) for place in places}) == 1
    grid = figure.subplots(height, columns, squeeze=False, sharex=alike, sharey=True)
    for axes in grid.flat[len(places) :]:
        axes.set_axis_off()
    for axes, place in zip(grid.flat, places, strict=False):
        own = make_grid([row for row in rows if name_on(row, panel) == place], line, x, guessing=guessing)
        xs = sorted(own.columns, key=float)
        for label in lines:
            cells = [own.cells[label, column] for column in xs]
            drawn = {**looks[label], "capsize": 2, "markersize": 4, "label": label}
            axes.errorbar([float(column) for column in xs], [c.mean for c in cells], [c.std for c in cells], **drawn)
        axes.set(title=place, xscale="log")
        axes.tick_params(labelbottom=not alike or place in places[-columns:])  # nothing is below it
        axes.set_xticks([float(column) for column in xs], xs, fontsize=10 if len(xs) <= CROWDED else 7)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(f"{x}, times the customary one")
    figure.supylabel("top-1 accuracy, %")
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return Picture(name, f"Accuracy by {x} for {', '.join(lines)}, a panel for each {panel}", to_svg(figure))


def lines(name: str, grids: Mapping[str, Grid], xlabel: str, title: str, ylabel: str = "top-1 accuracy, %") -> Picture:
    """Means with their standard deviations over columns that are numbers: a panel a grid, a line a row."""
    figure = new_figure(4.6 * len(grids) + 1.6, 4.2)
    panes = figure.subplots(1, len(grids), squeeze=False, sharey=True)[0]
    for axes, (heading, grid) in zip(panes, grids.items(), strict=True):
        xs, looks = sorted(grid.columns, key=float), styles(grid.rows)
        for index, row in enumerate(grid.rows):
            cells = [grid.cells[row, column] for column in xs]
            drawn = {**looks[row], "capsize": 3, "markersize": 5, "label": row}
            # Side by side, so that bars of equal means do not hide one another.
            places = np.array([float(column) for column in xs]) + 0.06 * (index - (len(grid.rows) - 1) / 2)
            axes.errorbar(places, [cell.mean for cell in cells], [cell.std for cell in cells], **drawn)
        axes.set(title=heading, xlabel=xlabel, xticks=[float(column) for column in xs])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    panes[0].set_ylabel(ylabel)
    figure.legend(*panes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    rows = next(iter(grids.values())).rows
    return Picture(name, f"{title}: mean and standard deviation of {', '.join(rows)}", to_svg(figure))


class Point(NamedTuple):
    """A place on a logarithmic axis, and the mean and half-width of the bar there; joined to the point before it."""

    x: float
    cell: Summary
    joined: bool = True


def by_size(
    name: str,
    panels: Mapping[str, Mapping[str, Sequence[Point]]],
    marks: Mapping[str, float],
    xlabel: str,
    title: str,
    ylabel: str = "top-1 accuracy, %",
) -> Picture:
    """Means with bars over sizes on a logarithmic scale: a panel for each name, a series for each kind.

    Args: marks, sizes that are named above each panel; points that are not joined have hollow markers.
    """
    figure = new_figure(5.2 * len(panels) + 1.8, 4.8)
    panes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    looks = styles([*dict.fromkeys(series for drawn in panels.values() for series in drawn)])
    for axes, (heading, drawn) in zip(panes, panels.items(), strict=True):
        for index, (series, found) in enumerate(drawn.items()):
            # Side by side, so that bars of equal sizes do not hide one another.
            aside = 1.04 ** (index - (len(drawn) - 1) / 2)
            moved = [point._replace(x=point.x * aside) for point in found]
            _draw_points(axes, moved, looks[series], series)
        for mark, size in marks.items():
            axes.axvline(size, color="#cccccc", linewidth=0.8, zorder=0)
            axes.annotate(
                mark, (size, 1.01), xycoords=("data", "axes fraction"), ha="left", va="bottom", rotation=35, fontsize=8
            )
        axes.set(xlabel=xlabel, xscale="log")
        axes.set_title(heading, pad=42)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    panes[0].set_ylabel(ylabel)
    figure.legend(*panes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return Picture(name, f"{title}: {', '.join(looks)}", to_svg(figure))


def _draw_points(axes: Any, found: Sequence[Point], look: Mapping[str, Any], label: str) -> None:
    """One series: joined points with their line, the others alone."""
    for joined in (True, False):
        own = [point for point in found if point.joined is joined]
        if own:
            alone = {} if joined else {"linestyle": "none", "markerfacecolor": "white"}
            bars = [point.cell.std for point in own]
            drawn = {**look, **alone, "capsize": 2, "markersize": 5, "linewidth": 1.1}
            label = label if joined or own == [*found] else "_unnamed"
            axes.errorbar([point.x for point in own], [point.cell.mean for point in own], bars, **drawn, label=label)
