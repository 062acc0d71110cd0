"""What is reported of kinds of labels: accuracy against bytes, the primary comparison, equal bytes, differences."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Picture, Section, Table
from gift_jax.reports.pictures import Point
from gift_jax.reports.significance import Comparison
from gift_jax.reports.summary import SUBJECT, TESTED, TITLE, best_evaluations, differences, listing, what_was_run
from gift_jax.reports.tables import Grid, Summary, grid_table, make_grid, name_on, summarize

from ..common.guessing import guessing
from ..common.reporting import Row, curves, fold, only
from .pruning import METHODS

RANDOM, WHOLE = "random", "all there are"
HARD, BANK, LIVE = "hard", "bank", "live"
MIDDLE = "_soft_hard_soft"  # after the name of a loss that gives way to hard labels in the middle of the run
PRIMARY = f"{BANK}, {SUBJECT}"
MORE, ALL = "hard-labelled", "all real images"  # axes of the students of more images
ABOUT = (
    "Top-1 accuracy after the last epoch, %, mean ± half of its 95 % interval over seeds (Student's t), of equally "
    "many images in equally many steps. `hard` is class ids under cross-entropy; `one`, `few` and `bank` are stored "
    "logits: one row for an image, one for each of a few crops of it, one for each image and epoch; `live` asks the "
    "teacher in each step. The interval is of seeds; it does not cover the choice of test images."
)


class Bought(NamedTuple):
    """Real images with hard labels: their number, the bytes of these labels, and rows by kind of images."""

    count: int
    size: int
    rows: Mapping[str, Sequence[Row]]


class Results(NamedTuple):
    """Rows of as many images, rows of more of them with hard labels, and guessing's accuracy."""

    equal: list[Row]
    more: list[Row]
    chance: float

    @property
    def subject(self) -> str:
        """The distilled set's name: the first kind of images that is neither random nor pruned; "" if there is none."""
        kinds = (name_on(row, "images") for row in self.equal)
        return next((kind for kind in kinds if kind not in (RANDOM, *METHODS)), "")

    @property
    def losses(self) -> list[str]:
        """The losses of soft labels, GIFT first if it is one of them."""
        found = dict.fromkeys(split(row)[1] for row in self.equal if split(row)[1])
        return sorted(found, key=lambda loss: loss != SUBJECT)

    @property
    def label_bytes(self) -> dict[str, int]:
        """Bytes of each kind of labels of the equal numbers of images."""
        own = only(self.equal, images=self.subject)
        return {split(row)[0]: row["label_bytes"] for row in own if "label_bytes" in row}

    @property
    def bought(self) -> list[Bought]:
        """What label bytes buy, the fewest images first; what did not finish is left out."""
        groups: dict[int, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self.more:
            groups[int(name_on(row, MORE))][name_on(row, "images")].append(row)
        sizes = {int(name_on(row, MORE)): row["label_bytes"] for row in self.more if "label_bytes" in row}
        return [Bought(count, sizes[count], groups[count]) for count in sorted(sizes)]

    def of_loss(self, loss: str) -> list[Row]:
        """Rows of one loss, and those of hard labels, by kind of labels alone."""
        kept = [row for row in self.equal if split(row)[1] in ("", loss)]
        return [{**row, "labels": {**row["labels"], "labels": split(row)[0]}} for row in kept]

    def grid(self, loss: str) -> Grid:
        """Images by kinds of labels under one loss, with half of each mean's 95 % interval as its spread."""
        grid = make_grid(self.of_loss(loss), "images", "labels", guessing=self.chance)
        return grid._replace(cells={names: with_interval(cell) for names, cell in grid.cells.items()})

    def accuracy(self, rows: Sequence[Row]) -> Summary:
        """Accuracy after the last epoch of some runs with its interval; a diverged one guesses."""
        return with_interval(summarize([None if "failed" in row else row["top1_last"] for row in rows], self.chance))


def read_results(rows: Sequence[Row]) -> Results:
    """The rows by the number of images; all real images are a kind of their own."""
    equal, more, whole = ([row for row in rows if axis in row["labels"]] for axis in ("labels", MORE, ALL))
    more += [{**row, "labels": {"images": WHOLE, MORE: name_on(row, ALL)}} for row in whole]
    return Results(equal, more, guessing(rows))


def split(row: Row) -> tuple[str, str]:
    """Kind of labels and loss, "" of hard ones."""
    regime, _, loss = name_on(row, "labels").partition(", ")
    return regime, loss


def with_interval(cell: Summary) -> Summary:
    """The mean with half of its 95 % interval in place of the standard deviation."""
    return cell._replace(std=significance.half_interval(cell.std, cell.n))


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The summary, the set and other images, each loss, equal bytes, differences, and curves."""
    results = read_results(rows)
    if not any("dataset" in row for row in results.equal) or not (results.losses and results.subject):
        return [Section(TITLE, ["No student of the set itself, or none of soft labels, finished."])]
    loss = results.losses[0]
    primary, secondary = against_others(results)
    banks = differences(results.of_loss(loss), "labels", "images", BANK, guessing=results.chance)
    soft = differences(scheduled(results), "loss", "images and labels", SUBJECT, guessing=results.chance)
    return [
        summary(results, loss, rows, primary),
        *images_section(results, [*primary, *secondary]),
        *(section for name in results.losses for section in loss_section(results, name, with_last=name != loss)),
        *([bytes_section(results, loss)] if results.more else []),
        *fold(f"Differences: a bank and other labels, {loss}", banks),
        *fold(f"Differences: {SUBJECT} and soft-hard-soft", soft),
        *curves(only(results.of_loss(loss), images=results.subject), "labels", f"Images: {results.subject}"),
    ]


def summary(results: Results, loss: str, rows: Sequence[Row], primary: Sequence[Comparison]) -> Section:
    """Accuracy against bytes of labels, the primary comparison in a line, and a table under one loss."""
    about = what_was_run(rows)
    stated = "The primary comparison, stated before any run: paired by seed, with its 95 % interval, uncorrected."
    lines = [stated, listing(primary, results.subject)] if primary else []
    table = grid_table(results.grid(loss), "images")
    return Section(TITLE, [about, bytes_picture(results, about), *lines, table, f"{ABOUT} {TESTED}"])


def bytes_picture(results: Results, about: str) -> Picture:
    """Accuracy against bytes of labels: a panel a loss, a series a kind of images; more images with hard labels too."""
    sizes, panels = results.label_bytes, {}
    more = [
        Point(one.size, results.accuracy(rows))
        for one in results.bought
        if (rows := one.rows.get(RANDOM) or one.rows.get(WHOLE))
    ]
    for loss in results.losses:
        grid = results.grid(loss)
        panels[loss] = {
            kind: [
                Point(sizes[regime], cell, regime != LIVE)
                for regime in grid.columns
                if regime in sizes and (cell := grid.cell(kind, regime)).n
            ]
            for kind in grid.rows
        } | ({"random, more images, hard": more} if more else {})
    title, bars = "Accuracy against bytes of labels", "bars: 95 % intervals over seeds"
    chance = {"guessing": results.chance}
    return pictures.lines(
        "bytes", panels, "bytes of labels", title, about=about, bars=bars, references=chance, marks=sizes, scale="log"
    )


def against_others(results: Results) -> tuple[list[Comparison], list[Comparison]]:
    """The set minus other images by kind of labels: the primary comparison, uncorrected, and the others."""
    names = {"row": "images", "column": "labels", "subject": results.subject}
    found = significance.compare(results.equal, **names, guessing=results.chance)
    primary = [one._replace(p_holm=one.p) for one in found if (one.column, one.other) == (PRIMARY, RANDOM)]
    others = [one for one in found if (one.column, one.other) != (PRIMARY, RANDOM)]
    chances = significance.holm([one.p for one in others])
    return primary, [one._replace(p_holm=p) for one, p in zip(others, chances, strict=True)]


def images_section(results: Results, comparisons: Sequence[Comparison]) -> list[Section]:
    """The set minus as many other images; nothing if there are none."""
    if not comparisons:
        return []
    about = f"`{results.subject}` minus as many real images. All but the primary comparison are corrected."
    return [Section("The set and random images", [about, significance.difference_table(comparisons, results.subject)])]


def loss_section(results: Results, loss: str, *, with_last: bool) -> list[Section]:
    """Accuracy under one loss: the best of all evaluations, and with_last also after the last epoch."""
    best = best_evaluations(results.of_loss(loss), "images", "labels", guessing=results.chance)
    last = [grid_table(results.grid(loss), "images")] if with_last else []
    return fold(f"Labels under {loss}", [*last, *(block for section in best for block in section.blocks)])


def bytes_section(results: Results, loss: str) -> Section:
    """At the bytes of each kind of stored labels: these, and as many bytes of hard labels."""
    offers = results.bought
    kinds = [*dict.fromkeys(kind for one in offers for kind in one.rows)]
    grid, body = results.grid(loss), []
    for regime, size in results.label_bytes.items():
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


def scheduled(results: Results) -> list[Row]:
    """GIFT, and losses that give way to hard labels in the middle of the run, by the images and the soft labels."""
    return [
        {**row, "labels": {"loss": loss, "images and labels": f"{name_on(row, 'images')}, {regime}"}}
        for row in results.equal
        for regime, loss in [split(row)]
        if loss == SUBJECT or loss.endswith(MIDDLE)
    ]
