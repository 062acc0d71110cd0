"""Pictures for reports: points with their spread, series over numbers, and training curves.

Series have eight colours that colour-blind eyes tell apart, and markers and lines that differ in grey print.
"""

import io
import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gift_jax.losses import LOSSES
from gift_jax.reports.page import Picture
from gift_jax.reports.tables import SPREAD, Grid, Summary, count, make_grid, name_on, names_apart

# Okabe and Ito (2008) with a dark brown in place of yellow, which is lost on white paper. Colours of similar lightness
# have lines of different kinds.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#772200", "#000000")
MARKERS = "osD^vP*X<>ph"
DASHES = ((1, 2.5), (3, 1, 1, 1, 1, 1), (6, 1, 1, 1), (9, 2), (4, 4))
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", *((0, dash) for dash in DASHES))
FAMILIAR = (*LOSSES, "kl_t2")  # the losses look the same in every picture
MARKED = 20  # points of a curve at most have markers
NARROWEST = 7.0  # inches, that a title has room
LETTERS = 12  # of a title, an inch
WIDEST = 48  # letters of a name beside its bar
CROWDED = 12  # letters of a name below its bar at most, or all are slanted
BARS = f"bars: {SPREAD}"
GREY = "#555555"
ACCURACY = "top-1 accuracy, %"

NAMES: Mapping[str, str] = {
    "ce": "CE, hard labels",
    "kl": "KL",
    "kl_t2": "KL · T²",
    "softce": "soft CE",
    "mse": "MSE",
    "mse_ce": "MSE + CE",
    "softce_ce": "soft CE + CE",
    "gift": "GIFT",
    "kl_soft_hard_soft": "KL, soft-hard-soft",
    "sgd": "SGD",
    "nesterov": "Nesterov",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "AdaGrad",
    "lion": "Lion",
    "lamb": "LAMB",
    "adafactor": "Adafactor",
    "muon": "Muon",
    "schedule_free": "Schedule-Free",
    "Fashion mnist": "Fashion-MNIST",
    **dict.fromkeys(("Cifar10", "cifar10"), "CIFAR-10"),
    "fashion-mnist": "Fashion-MNIST",
    "rded": "RDED",
    "random": "random images",
    "kmeans": "k-means",
    "el2n": "EL2N",
    "aum": "AUM",
    "ccs": "CCS",
    "hard": "hard labels",
    "one": "one label",
    "few": "few crops",
    "bank": "label bank",
    "live": "live teacher",
}


def display(name: str) -> str:
    """A name as pictures write it: `GIFT` for `gift`, and `GIFT, learning rate 0.1`."""
    first, comma, rest = name.partition(", ")
    return f"{NAMES.get(first, first)}{comma}{NAMES.get(rest, rest)}"


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure, of a size in inches, without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of each series: the first eight share none of them, and a loss has its own everywhere."""
    losses, found = set(names) <= set(FAMILIAR), {}
    for place, name in enumerate(names):
        look = FAMILIAR.index(name) if losses else place
        kinds = {"color": COLOURS, "marker": MARKERS, "linestyle": LINES}
        found[name] = {kind: choices[look % len(choices)] for kind, choices in kinds.items()}
    return found


def _finish(name: str, figure: Any, panes: Sequence[Any], title: str, about: str, note: str, alt: str) -> Picture:
    """An SVG of text and the same bytes for the same figure: title, what was run, a note at the foot, one legend."""
    import matplotlib as mpl

    letters = int(LETTERS * figure.get_figwidth())
    heading = "\n".join(textwrap.fill(text, letters) for text in (title, about) if text)
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11)
    figure.supxlabel(note, fontsize=9, color=GREY)
    for axes in panes:
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gift_jax"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Picture(name, f"{title}: {alt}", buffer.getvalue())


def _show_references(panes: Sequence[Any], references: Mapping[str, float], *, sideways: bool = False) -> None:
    """Lines of accuracies to compare with. Axes keep to the range of what is drawn; the legend names what is off."""
    for axes in panes:
        low, high = axes.get_xlim() if sideways else axes.get_ylim()
        room = 0.15 * (high - low)
        for number, (text, value) in enumerate((text, value) for text, value in references.items() if value):
            named = f"{text} {value:.1f} %"
            if low - room <= value <= high + room:
                draw = axes.axvline if sideways else axes.axhline
                draw(value, color=GREY, linewidth=1, linestyle=(":", "--")[number % 2], zorder=0, label=named)
            else:
                axes.plot([], [], " ", label=f"{named}\n(off the axis)")


def points(
    name: str,
    panels: Mapping[str, Grid],
    title: str,
    *,
    about: str = "",
    label: str = ACCURACY,
    references: Mapping[str, float] | None = None,
    sideways: bool = False,
) -> Picture:
    """Means with their spread, a panel a grid: a colour and a marker for each row, columns side by side.

    Args:
        name: stem of the picture's file.
        panels: grids by their headings.
        title: what is shown.
        about: what was run, under the title.
        label: of the axis of figures.
        references: accuracies to compare with, by their names, such as that of guessing; 0 is not known.
        sideways: whether columns are one below the other, for many of them or long names.
    """
    first = next(iter(panels.values()))
    longest = max(len(grid.columns) for grid in panels.values())
    columns = sum(len(grid.columns) for grid in panels.values())
    width = 8.5 if sideways else max(NARROWEST, (1.05 if len(panels) == 1 else 0.75) * columns + 2.5)
    wrapped = {name: textwrap.fill(display(name), WIDEST) for grid in panels.values() for name in grid.columns}
    written = sum(1 + text.count("\n") for text in wrapped.values())
    figure = new_figure(width, 1.8 + max(0.42 * longest, 0.2 * written) if sideways else 4.6)
    panes = figure.subplots(1, len(panels), squeeze=False)[0]
    series_styles = styles(first.rows)
    for axes, (heading, grid) in zip(panes, panels.items(), strict=True):
        for index, row in enumerate(grid.rows):
            cells = [grid.cell(row, column) for column in grid.columns]
            places = np.arange(len(cells)) + 0.7 * ((index + 0.5) / len(grid.rows) - 0.5)
            means, spreads = [cell.mean for cell in cells], [cell.std for cell in cells]
            drawn = {**series_styles[row], "linestyle": "none", "capsize": 3, "label": display(row)}
            x, y, bars_along = (means, places, "xerr") if sideways else (places, means, "yerr")
            axes.errorbar(x, y, **{bars_along: spreads}, **drawn)
        line = axes.axhline if sideways else axes.axvline
        for place in range(1, len(grid.columns)):
            line(place - 0.5, color="#cccccc", linewidth=0.8)
        ticks = range(len(grid.columns))
        if sideways:
            axes.set_yticks(ticks, [wrapped[name] for name in grid.columns])
            axes.set(xlabel=label, ylim=(len(grid.columns) - 0.5, -0.5))
        else:
            crowded = max(map(len, map(display, grid.columns)), default=0) > CROWDED
            slant = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
            axes.set_xticks(ticks, [*map(display, grid.columns)], **slant)
            axes.set(ylabel=label if axes is panes[0] else "", xlim=(-0.5, len(grid.columns) - 0.5))
        axes.set_title(heading, fontsize=10)
    _show_references(panes, references or {}, sideways=sideways)
    note = f"{BARS}, {count(cell.n for grid in panels.values() for cell in grid.cells.values())}"
    alt = f"{', '.join(map(display, first.rows))}; {note}"
    return _finish(name, figure, panes, title, about, note, alt)


class Point(NamedTuple):
    """A place on a numeric axis, and the mean and half-width of the bar there; joined to the point before it."""

    x: float
    cell: Summary
    joined: bool = True


Series = Mapping[str, Sequence[Point]]
"""Points by the names of what they are of."""


def grid_series(grid: Grid) -> Series:
    """A grid whose columns are numbers as series, a row each, without the missing cells."""
    return {row: [Point(float(x), grid.cell(row, x)) for x in grid.columns if grid.cell(row, x).n] for row in grid.rows}


def lines(
    name: str,
    panels: Mapping[str, Series],
    xlabel: str,
    title: str,
    *,
    about: str = "",
    label: str = ACCURACY,
    bars: str = BARS,
    references: Mapping[str, float] | None = None,
    marks: Mapping[str, float] | None = None,
    scale: Literal["linear", "log"] = "linear",
) -> Picture:
    """Means with their spread over numbers: a panel for each name, a line for each series; the rest is as of `points`.

    Args:
        panels: series by their headings; points that are not joined have hollow markers.
        xlabel: of the axis of numbers.
        bars: what the bars are; "" if there are none.
        marks: numbers that are named above each panel; without them the points' own numbers are the ticks.
        scale: of the axis of numbers.
    """
    columns = min(len(panels), 4)
    height = -(-len(panels) // columns)
    size = (3.0, 2.6) if height > 1 else (5.0, 4.8)
    figure = new_figure(max(NARROWEST, size[0] * columns + 1.8), size[1] * height + 0.6)
    grid = figure.subplots(height, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    panes = [*grid.flat[: len(panels)]]
    series_styles = styles([*dict.fromkeys(series for drawn in panels.values() for series in drawn)])
    for axes, (heading, drawn) in zip(panes, panels.items(), strict=True):
        xs = sorted({point.x for found in drawn.values() for point in found})
        for index, (series, found) in enumerate(drawn.items()):
            # Side by side, so that bars of equal means do not hide one another.
            aside = index - (len(drawn) - 1) / 2
            moved = [1.03**aside * point.x if scale == "log" else point.x + 0.06 * aside for point in found]
            _draw_series(axes, moved, found, series_styles[series], display(series))
        axes.set(xscale=scale)
        if marks is None:
            axes.set_xticks(xs, [f"{x:g}" for x in xs], fontsize=10 if len(xs) <= 6 else 7)
            axes.minorticks_off()
        for mark, size_of_mark in (marks or {}).items():
            axes.axvline(size_of_mark, color="#cccccc", linewidth=0.8, zorder=0)
            place = {"xycoords": ("data", "axes fraction"), "ha": "left", "va": "bottom", "rotation": 35}
            axes.annotate(display(mark), (size_of_mark, 1.01), **place, fontsize=8)
        axes.set_title(display(heading), pad=46 if marks else None, fontsize=10)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    _show_references(panes, references or {})
    n = count(point.cell.n for drawn in panels.values() for found in drawn.values() for point in found)
    note = f"{bars}, {n}" if bars else ""
    alt = ", ".join(map(display, series_styles)) + (note and f"; {note}")
    return _finish(name, figure, panes, title, about, f"{xlabel}\n{note}".strip(), alt)


def _draw_series(axes: Any, xs: Sequence[float], found: Sequence[Point], look: Mapping[str, Any], label: str) -> None:
    """One series: joined points with their line, the others alone."""
    for joined in (True, False):
        own = [(x, point.cell) for x, point in zip(xs, found, strict=True) if point.joined is joined]
        if own:
            alone = {} if joined else {"linestyle": "none", "markerfacecolor": "white"}
            drawn = {**look, **alone, "capsize": 2, "markersize": 5, "linewidth": 1.1}
            named = label if joined or len(own) == len(found) else "_unnamed"
            axes.errorbar([x for x, _ in own], [c.mean for _, c in own], [c.std for _, c in own], **drawn, label=named)


def panels_by(
    results: Iterable[Mapping[str, Any]], panel: str, line: str, x: str, guessing: float
) -> dict[str, Series]:
    """Series over a numeric axis x for each name on another: a panel for each name on a third."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for result in results:
        groups[name_on(result, panel)].append(result)
    return {name: grid_series(make_grid(own, line, x, guessing=guessing)) for name, own in groups.items()}


def curves(name: str, results: Iterable[Mapping[str, Any]], axis: str, title: str) -> Picture:
    """Accuracy at every evaluation and loss relative to the first epoch's, mean over all runs of a name on the axis."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    finished = [result for result in results if "failed" not in result]
    for named, _, result in names_apart(finished, axis, axis):
        groups[named].append(result)
    figure = new_figure(10.5, 4.2)
    left, right = figure.subplots(1, 2)
    series_styles = styles([*groups])
    for label, runs in groups.items():
        line = {**series_styles[label], "markersize": 4}
        tests = [[(one["epoch"], one["top1"]) for one in run["history"]] for run in runs]
        epochs, means = _mean_curve(tests)
        left.plot(epochs, means, **line, label=display(label), markevery=-(-len(epochs) // MARKED))
        losses = [
            [(epoch, value / (run["losses"][0][1] or math.nan)) for epoch, value in run["losses"]] for run in runs
        ]
        right.plot(*_mean_curve(losses), **{**line, "marker": None})
    left.set(xlabel="epoch", ylabel=ACCURACY)
    right.set(title="training loss relative to the first epoch", xlabel="epoch", yscale="log")
    alt = f"accuracy and loss by epoch of {', '.join(map(display, groups))}"
    return _finish(name, figure, [left, right], title, "", "means over seeds", alt)


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> tuple[list[int], np.ndarray]:
    """Epochs and mean values, of the curves that have the first one's epochs."""
    epochs = [epoch for epoch, _ in curves[0]]
    same = [[value for _, value in curve] for curve in curves if [epoch for epoch, _ in curve] == epochs]
    return epochs, np.mean(same, axis=0)
