"""Accuracy against bytes of labels, and at equal bytes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import pictures
from gift_jax.reports.page import Section
from gift_jax.reports.pictures import Point
from gift_jax.reports.tables import make_grid, markdown_table, name_on

from ..common.reporting import Row, only
from .rows import ALL, HARD, INTERVAL, LIVE, MORE, RANDOM, Parts, accuracy, interval_grid, of_loss, split

WHOLE = "all there are"


class Bought(NamedTuple):
    """Real images with hard labels: their number, the bytes of these labels, and rows by kind of images."""

    count: int
    size: int
    rows: Mapping[str, Sequence[Row]]


def bought(parts: Parts) -> list[Bought]:
    """What label bytes buy, the fewest images first; what did not finish is left out."""
    groups: dict[int, dict[str, list[Row]]] = {}
    for row in parts.more:
        groups.setdefault(int(name_on(row, MORE)), {}).setdefault(name_on(row, "images"), []).append(row)
    for row in parts.whole:
        groups.setdefault(int(name_on(row, ALL)), {}).setdefault(WHOLE, []).append(row)
    found = [(count, bytes_of([row for own in rows.values() for row in own]), rows) for count, rows in groups.items()]
    return sorted(Bought(count, size, rows) for count, size, rows in found if size)


def bytes_of(rows: Sequence[Row]) -> int:
    """Bytes of labels of rows that share them; 0 if none finished."""
    return next((row["label_bytes"] for row in rows if "label_bytes" in row), 0)


def regime_bytes(parts: Parts) -> dict[str, int]:
    """Bytes of each kind of labels of the equal numbers of images."""
    own = only(parts.equal, images=parts.subject)
    regimes = dict.fromkeys(split(row)[0] for row in own)
    sizes = {regime: bytes_of([row for row in own if split(row)[0] == regime]) for regime in regimes}
    return {regime: size for regime, size in sizes.items() if size}


def bytes_picture(parts: Parts) -> pictures.Picture:
    """Accuracy against bytes of labels: a panel a loss, a series a kind of images; more images with hard labels too."""
    sizes, panels = regime_bytes(parts), {}
    more = {
        "random, more images, hard": [
            Point(one.size, accuracy(parts, rows))
            for one in bought(parts)
            if (rows := one.rows.get(RANDOM) or one.rows.get(WHOLE))
        ]
    }
    for loss in parts.losses():
        grid = interval_grid(make_grid(of_loss(parts, loss), "images", "labels", guessing=parts.chance))
        columns = [regime for regime in grid.columns if regime in sizes]
        panels[f"soft labels under {loss}"] = {
            kind: [Point(sizes[regime], grid.cells[kind, regime], regime != LIVE) for regime in columns]
            for kind in grid.rows
        } | {name: found for name, found in more.items() if found}
    return pictures.by_size("bytes", panels, sizes, "bytes of labels", "Top-1 accuracy against bytes of labels")


def bytes_section(parts: Parts, loss: str) -> Section:
    """At the bytes of each kind of stored labels: these, and as many bytes of hard labels."""
    offers = bought(parts)
    kinds = [*dict.fromkeys(kind for one in offers for kind in one.rows)]
    grid = interval_grid(make_grid(of_loss(parts, loss), "images", "labels", guessing=parts.chance))
    body = []
    for regime, size in regime_bytes(parts).items():
        affordable = [one for one in offers if one.size <= size]
        if regime in (HARD, LIVE) or regime not in grid.columns or not affordable:
            continue
        own = [str(grid.cells.get((name, regime), "-")) for name in (parts.subject, RANDOM)]
        best = affordable[-1]
        hard = [str(accuracy(parts, best.rows[kind])) if kind in best.rows else "-" for kind in kinds]
        body.append([f"`{regime}`", f"{size:,}", *own, f"{best.count:,}", f"{best.size:,}", *hard])
    header = ["labels", "bytes", parts.subject, RANDOM, "real images", "bytes", *(f"hard, {kind}" for kind in kinds)]
    about = (
        f"Soft labels under `{loss}` of equally many images, and hard labels of as many real images as their bytes "
        "buy, or of all there are, in as many steps: top-1 accuracy after the last epoch, %, "
        f"{INTERVAL}. The images' own bytes are not counted, which favours hard labels."
    )
    return Section("At equal label bytes", [about, markdown_table([header, *body])])
