"""Accuracy against bytes of labels, and at equal bytes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gift_jax.reports import pictures
from gift_jax.reports.page import Picture, Section, Table
from gift_jax.reports.pictures import Point
from gift_jax.reports.tables import name_on

from ..common.reporting import Row, only
from .rows import ALL, HARD, LIVE, MORE, RANDOM, Results, split

WHOLE = "all there are"


class Bought(NamedTuple):
    """Real images with hard labels: their number, the bytes of these labels, and rows by kind of images."""

    count: int
    size: int
    rows: Mapping[str, Sequence[Row]]


def bought(results: Results) -> list[Bought]:
    """What label bytes buy, the fewest images first; what did not finish is left out."""
    found = [(int(name_on(row, MORE)), name_on(row, "images"), row) for row in results.more]
    found += [(int(name_on(row, ALL)), WHOLE, row) for row in results.whole]
    groups: dict[int, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for count, kind, row in found:
        groups[count][kind].append(row)
    sizes = {count: row["label_bytes"] for count, _, row in found if "label_bytes" in row}
    return [Bought(count, sizes[count], groups[count]) for count in sorted(sizes)]


def regime_bytes(results: Results) -> dict[str, int]:
    """Bytes of each kind of labels of the equal numbers of images."""
    own = only(results.equal, images=results.subject)
    return {split(row)[0]: row["label_bytes"] for row in own if "label_bytes" in row}


def bytes_picture(results: Results, about: str) -> Picture:
    """Accuracy against bytes of labels: a panel a loss, a series a kind of images; more images with hard labels too."""
    sizes, panels = regime_bytes(results), {}
    more = [
        Point(one.size, results.accuracy(rows))
        for one in bought(results)
        if (rows := one.rows.get(RANDOM) or one.rows.get(WHOLE))
    ]
    for loss in results.losses():
        grid = results.grid(loss)
        panels[loss] = {
            kind: [
                Point(sizes[regime], cell, regime != LIVE)
                for regime in grid.columns
                if regime in sizes and (cell := grid.cell(kind, regime)).n
            ]
            for kind in grid.rows
        } | ({"random, more images, hard": more} if more else {})
    options: Any = {"about": about, "marks": sizes, "scale": "log", "references": {"guessing": results.chance}}
    title, bars = "Accuracy against bytes of labels", "bars: 95 % intervals over seeds"
    return pictures.lines("bytes", panels, "bytes of labels", title, bars=bars, **options)


def bytes_section(results: Results, loss: str) -> Section:
    """At the bytes of each kind of stored labels: these, and as many bytes of hard labels."""
    offers = bought(results)
    kinds = [*dict.fromkeys(kind for one in offers for kind in one.rows)]
    grid, body = results.grid(loss), []
    for regime, size in regime_bytes(results).items():
        affordable = [one for one in offers if one.size <= size]
        if regime in (HARD, LIVE) or regime not in grid.columns or not affordable:
            continue
        own = [str(grid.cell(name, regime)) for name in (results.subject, RANDOM)]
        best = affordable[-1]
        hard = [str(results.accuracy(best.rows[kind])) if kind in best.rows else "-" for kind in kinds]
        body.append([f"`{regime}`", f"{size:,}", *own, f"{best.count:,}", f"{best.size:,}", *hard])
    header = [f"labels ({grid.n})", "bytes", results.subject, RANDOM, "real images", "bytes"]
    header += [f"hard, {kind}" for kind in kinds]
    about = (
        f"Soft labels under `{loss}` of equally many images, and hard labels of as many real images as their bytes "
        "buy, or of all there are, in as many steps. The images' own bytes are not counted, which favours hard labels."
    )
    return Section("At equal label bytes", [about, Table([header, *body])])
