"""What is reported of kinds of labels: accuracy against bytes, the primary comparison, equal bytes, differences."""

from collections.abc import Sequence

from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Block, Section, Table
from gift_jax.reports.significance import Comparison, interval_text, p_text
from gift_jax.reports.summary import TESTED, TITLE, best_evaluations, differences, listing, what_was_run
from gift_jax.reports.tables import grid_table, name_on

from ..common.reporting import Row, curves, fold, guessing, only
from .byte_views import bytes_picture, bytes_section
from .rows import ALL, BANK, INTERVAL, MIDDLE, MORE, PRIMARY, RANDOM, SUBJECT, Results, split

ABOUT = (
    f"Top-1 accuracy after the last epoch, %, {INTERVAL}, of equally many images in equally many steps. `hard` is "
    "class ids under cross-entropy; `one`, `few` and `bank` are stored logits: one row for an image, one for each of a "
    "few crops of it, one for each image and epoch; `live` asks the teacher in each step. The interval is of seeds; it "
    "does not cover the choice of test images."
)


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The summary, the set and random images, each loss, equal bytes, differences, and curves."""
    equal, more, whole = ([row for row in rows if axis in row["labels"]] for axis in ("labels", MORE, ALL))
    results = Results(equal, more, whole, guessing(rows))
    if not any("dataset" in row for row in equal) or not (results.losses() and results.subject):
        return [Section(TITLE, ["No student of the set itself, or none of soft labels, finished."])]
    loss, *others = results.losses()
    return [
        summary(results, loss, rows),
        random_section(results),
        *(Section(f"Labels under {name}", loss_blocks(results, name), folded=True) for name in [loss, *others]),
        *([bytes_section(results, loss)] if more or whole else []),
        *difference_sections(results, loss),
        *curves(only(results.of_loss(loss), images=results.subject), "labels", f"Images: {results.subject}"),
    ]


def summary(results: Results, loss: str, rows: Sequence[Row]) -> Section:
    """Accuracy against bytes of labels, the primary comparison in a line, and a table under one loss."""
    primary = against_random(results).get(PRIMARY)
    stated = "The primary comparison, stated before any run: paired by seed, with its 95 % interval, uncorrected."
    lines = (
        [stated, listing([significance.line(primary._replace(p_holm=primary.p), results.subject)])] if primary else []
    )
    table = grid_table(results.grid(loss), "images", worst=None)
    about = what_was_run(rows)
    return Section(TITLE, [about, bytes_picture(results, about), *lines, table, ABOUT])


def against_others(results: Results) -> list[Comparison]:
    """The set against all other images under every kind of labels."""
    names = {"row": "images", "column": "labels", "subject": results.subject}
    return significance.compare(results.equal, **names, guessing=results.chance)


def against_random(results: Results) -> dict[str, Comparison]:
    """The set minus random images, by kind of labels and loss."""
    return {one.column: one for one in against_others(results) if one.other == RANDOM}


def secondary(results: Results) -> list[Comparison]:
    """The set against all other images under every kind of labels, without the primary comparison; Holm over all."""
    kept = [one for one in against_others(results) if (one.column, one.other) != (PRIMARY, RANDOM)]
    chances = significance.holm([one.p for one in kept])
    return [one._replace(p_holm=p) for one, p in zip(kept, chances, strict=True)]


def random_section(results: Results) -> Section:
    """The set minus random images under every kind of labels, the primary comparison first."""
    found = against_random(results)
    corrected = {one.column: one.p_holm for one in secondary(results) if one.other == RANDOM}
    body = []
    for name in sorted(found, key=lambda name: name != PRIMARY):
        c = found[name]
        last = "primary" if name == PRIMARY else p_text(corrected[name])
        body.append([name, f"{c.difference:+.1f}", interval_text(c), str(c.n), p_text(c.p), last])
    header = ["labels", f"{results.subject} minus random", "95 % interval", "n", "p", "p, Holm"]
    about = (
        "Percentage points by which the set is ahead of as many random real images, paired by seed. The primary "
        "comparison is not corrected; the others are, with those of the set and other images below."
    )
    return Section("The set and random images", [about, Table([header, *body])])


def loss_blocks(results: Results, loss: str) -> list[Block]:
    """Last and best accuracy under one loss, with the spread over seeds."""
    grid, rows = results.grid(loss), results.of_loss(loss)
    picture = pictures.points(f"labels_{loss}", {"": grid}, f"Accuracy by labels, {pictures.display(loss)}",
                              bars="bars: 95 % intervals over seeds")  # fmt: skip
    best = best_evaluations(rows, "images", "labels", guessing=results.chance, worst=None)
    blocks = [block for section in best for block in section.blocks]
    return [ABOUT, grid_table(grid, "images", worst=None), picture, *blocks]


def scheduled(results: Results) -> list[Row]:
    """GIFT, and losses that give way to hard labels in the middle of the run, by the images and the soft labels."""
    return [
        {**row, "labels": {"loss": loss, "images and labels": f"{name_on(row, 'images')}, {regime}"}}
        for row in results.equal
        for regime, loss in [split(row)]
        if loss == SUBJECT or loss.endswith(MIDDLE)
    ]


def difference_sections(results: Results, loss: str) -> list[Section]:
    """The secondary comparisons, a bank against other labels under one loss, and GIFT against soft-hard-soft."""
    chance, others = results.chance, secondary(results)
    table = significance.comparison_table(others, "labels", results.subject)
    return [
        *fold(f"Differences: {results.subject} and other images", [f"Points, {TESTED}", table] if others else []),
        *fold(
            f"Differences: a bank and other labels, {loss}",
            differences(results.of_loss(loss), "labels", "images", BANK, guessing=chance),
        ),
        *fold(
            f"Differences: {SUBJECT} and soft-hard-soft",
            differences(scheduled(results), "loss", "images and labels", SUBJECT, guessing=chance),
        ),
    ]
