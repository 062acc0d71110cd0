"""Two pictures of losses at their learning rates: what they reach, and how large their gradients are.

Losses stand side by side with an optimizer a colour; an open marker is the customary rate, a filled one the tuned.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gift_jax.reports.page import Picture
from gift_jax.reports.pictures import new_figure, style, to_svg
from gift_jax.reports.tables import Grid

GREY = "#555555"


def two_rates(
    name: str, customary: Grid, tuned: Grid, title: str, lines: Mapping[str, float], *, order: Sequence[str]
) -> Picture:
    """Accuracy by loss (rows, in this order) and optimizer (columns) at customary and tuned rates, with deviations.

    On the right are the tuned rates again, larger. Args: lines, accuracies in percent to compare with, by their names.
    """
    figure = new_figure(12.0, 4.8)
    whole, close = figure.subplots(1, 2, width_ratios=(1.5, 1))
    columns = tuned.columns
    for index, column in enumerate(columns):
        look = {**style(index), "linestyle": "none", "capsize": 3, "markersize": 6}
        for grid, label, fill in ((customary, "customary rate", "none"), (tuned, "tuned rate", "full")):
            place = np.arange(len(order)) + 0.8 * ((2 * index + (fill == "full") + 0.5) / (2 * len(columns)) - 0.5)
            drawn = {**look, "fillstyle": fill, "label": f"{column}, {label}"}
            _bars(whole, place, grid, order, column, drawn)
        _bars(close, np.arange(len(order)) + 0.6 * ((index + 0.5) / len(columns) - 0.5), tuned, order, column, look)
    for number, (text, value) in enumerate(lines.items()):
        whole.axhline(value, color=GREY, linewidth=1, linestyle=(":", "--")[number % 2], zorder=0, label=text)
    for axes in (whole, close):
        axes.set_xticks(range(len(order)), order, rotation=25, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(order) - 0.5)
        for place in range(1, len(order)):
            axes.axvline(place - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
    whole.set(title=title, ylabel="top-1 accuracy, %", ylim=(0, 100))
    close.set(title="Tuned rates, larger")
    figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=4)
    described = ", ".join(f"{text} {value:.1f} %" for text, value in lines.items())
    alt = f"{title}: {', '.join(order)} under {', '.join(columns)}, mean and standard deviation; {described}"
    return Picture(name, alt, to_svg(figure))


def _together(norms: Mapping[str, float]) -> dict[str, float]:
    """Losses whose norms are too close to be named apart under one name, with the norm of the first."""
    groups: list[tuple[list[str], float]] = []
    for loss, norm in sorted(norms.items(), key=lambda item: item[1]):
        if groups and norm < 1.25 * groups[-1][1]:
            groups[-1][0].append(loss)
        else:
            groups.append(([loss], norm))
    return {", ".join(names): norm for names, norm in groups}


def _bars(axes: Any, place: np.ndarray, grid: Grid, order: Sequence[str], column: str, drawn: dict[str, Any]) -> None:
    cells = [grid.cells[row, column] for row in order]
    axes.errorbar(place, [cell.mean for cell in cells], [cell.std for cell in cells], **drawn)


def rates_by_gradient(
    name: str, norms: Mapping[str, float], rates: Mapping[str, Mapping[str, float]], title: str, inverse: float
) -> Picture:
    """Tuned rates over gradient norms at the start, both on logarithmic scales: an optimizer a colour, a loss a point.

    Args: norms by loss; rates by optimizer and loss; inverse, of which the line is drawn where rate times norm is it.
    """
    figure = new_figure(7.5, 4.8)
    axes = figure.add_subplot()
    for index, (optimizer, own) in enumerate(rates.items()):
        losses = [loss for loss in norms if loss in own]
        points = [norms[loss] for loss in losses], [own[loss] for loss in losses]
        axes.plot(*points, **{**style(index), "linestyle": "none", "markersize": 7}, label=optimizer)
    for names, norm in _together(norms).items():
        axes.axvline(norm, color="#dddddd", linewidth=0.8, zorder=0)
        place = {"transform": axes.get_xaxis_transform(), "rotation": 30, "ha": "left", "va": "bottom"}
        axes.text(norm, 1.01, names, **place, fontsize=9, color=GREY)
    span = np.array([min(norms.values()), max(norms.values())])
    axes.plot(span, inverse / span, color=GREY, linewidth=1, linestyle="--", label=f"rate x norm = {inverse:.2g}")
    axes.set(
        xscale="log", yscale="log", xlabel="norm of the loss's gradient at the start", ylabel="tuned learning rate"
    )
    axes.set_title(title, pad=44)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return Picture(name, f"{title}: {', '.join(norms)} under {', '.join(rates)}", to_svg(figure))
