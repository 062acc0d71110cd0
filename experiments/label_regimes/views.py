"""What is reported of kinds of labels: accuracy against bytes, the primary comparison, equal bytes, differences."""

from collections.abc import Sequence

from gift_jax.reports import significance
from gift_jax.reports.page import Section
from gift_jax.reports.significance import Comparison
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
    """The summary, the set and other images, each loss, equal bytes, differences, and curves."""
    equal, more, whole = ([row for row in rows if axis in row["labels"]] for axis in ("labels", MORE, ALL))
    results = Results(equal, more, whole, guessing(rows))
    if not any("dataset" in row for row in equal) or not (results.losses() and results.subject):
        return [Section(TITLE, ["No student of the set itself, or none of soft labels, finished."])]
    loss, *others = results.losses()
    primary, secondary = against_others(results)
    banks = differences(results.of_loss(loss), "labels", "images", BANK, guessing=results.chance)
    soft = differences(scheduled(results), "loss", "images and labels", SUBJECT, guessing=results.chance)
    return [
        summary(results, loss, rows, primary),
        *images_section(results, [*primary, *secondary]),
        *(section for name in [loss, *others] for section in loss_section(results, name, with_last=name != loss)),
        *([bytes_section(results, loss)] if more or whole else []),
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


def scheduled(results: Results) -> list[Row]:
    """GIFT, and losses that give way to hard labels in the middle of the run, by the images and the soft labels."""
    return [
        {**row, "labels": {"loss": loss, "images and labels": f"{name_on(row, 'images')}, {regime}"}}
        for row in results.equal
        for regime, loss in [split(row)]
        if loss == SUBJECT or loss.endswith(MIDDLE)
    ]
