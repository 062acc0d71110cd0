"""What is reported of kinds of labels: accuracy against bytes, the primary comparison, equal bytes, what is noise."""

from collections.abc import Sequence

from gift_jax.reports import answer, pictures, significance
from gift_jax.reports.page import Block, Section
from gift_jax.reports.tables import Grid, make_grid, markdown_table, name_on

from ..common.reporting import Row, curves, guessing, only, table
from .byte_views import bytes_picture, bytes_section
from .rows import (
    ALL,
    BANK,
    HARD,
    INTERVAL,
    MIDDLE,
    MORE,
    PRIMARY,
    RANDOM,
    SUBJECT,
    Parts,
    accuracy,
    interval_grid,
    of_loss,
    split,
)

WORDS = answer.Words("under", "kinds of labels")
ABOUT = (
    f"Top-1 accuracy after the last epoch, %, {INTERVAL}, of equally many images in equally many steps. `hard` is "
    "class ids under cross-entropy; `one`, `few` and `bank` are stored logits: one row for an image, one for each of a "
    "few crops of it, one for each image and epoch; `live` asks the teacher in each step. The interval is of seeds; it "
    "does not cover the choice of test images."
)


def make_sections(rows: Sequence[Row]) -> list[Section]:
    """The answer, the set and random images, each loss, equal bytes, noise, and curves."""
    equal = [row for row in rows if "labels" in row["labels"]]
    if not any("dataset" in row for row in equal):
        return [Section("Images and labels", ["No student finished."])]
    more, whole = ([row for row in rows if axis in row["labels"]] for axis in (MORE, ALL))
    parts = Parts(equal, more, whole, guessing(rows))
    if not (parts.losses() and parts.subject):
        return [Section("Images and labels", ["No student of the set itself, or none of soft labels, was run."])]
    loss, *others = parts.losses()
    return [
        answer_section(parts, loss),
        random_section(parts),
        *(Section(f"Labels under {name}", loss_blocks(parts, name), folded=True) for name in [loss, *others]),
        *([bytes_section(parts, loss)] if more or whole else []),
        *noise_sections(parts, loss),
        *curves(only(of_loss(parts, loss), images=parts.subject), "labels", f"On {parts.subject}"),
    ]


def answer_section(parts: Parts, loss: str) -> Section:
    """Accuracy against bytes of labels, three sentences, and a table under one loss."""
    grid = make_grid(of_loss(parts, loss), "images", "labels", guessing=parts.chance)
    sentences = [answer.what_wins(grid, parts.subject, WORDS), primary_in_words(parts)]
    if {HARD, BANK} <= {*grid.columns} and RANDOM in grid.rows:
        sentences.append(labels_in_words(grid, parts))
    return answer.section(
        bytes_picture(parts), " ".join(sentences), table(interval_grid(grid), "images", worst=None), ABOUT
    )


def labels_in_words(grid: Grid, parts: Parts) -> str:
    """What a bank adds to hard labels, and what more images with hard labels reach."""
    gains = [grid.cells[name, BANK].mean - grid.cells[name, HARD].mean for name in (parts.subject, RANDOM)]
    text = (
        f"A bank in place of hard labels adds {gains[0]:+.1f} points to `{parts.subject}` and {gains[1]:+.1f} to random"
    )
    if not parts.whole:
        return f"{text} images."
    count = int(name_on(parts.whole[0], ALL))
    reached = accuracy(parts, parts.whole)
    return f"{text} images; hard labels of all {count:,} real images reach {reached} % in as many steps."


def compared(parts: Parts) -> list[significance.Comparison]:
    """The set against all other images under every kind of labels."""
    options = {"row": "images", "column": "labels", "subject": parts.subject, "guessing": parts.chance}
    return significance.compare(parts.equal, **options)


def against_random(parts: Parts) -> dict[str, significance.Comparison]:
    """The set minus random images, by kind of labels and loss."""
    return {one.column: one for one in compared(parts) if one.other == RANDOM}


def primary_in_words(parts: Parts) -> str:
    """The comparison that was stated in advance, with its interval."""
    c = against_random(parts).get(PRIMARY)
    if c is None:
        return f"The primary comparison, of `{parts.subject}` with random images under `{PRIMARY}`, was not run."
    side = "above" if c.difference > 0 else "below"
    text = (
        f"The primary comparison: with `{SUBJECT}` and a bank, `{parts.subject}` is {abs(c.difference):.1f} points "
        f"{side} as many random real images"
    )
    if c.n == 1:
        return f"{text}; one seed cannot be tested (n = 1)."
    return (
        f"{text}, {significance.noise(c.p)} (95 % interval {interval_text(c)}, p {significance.p_equals(c.p)}, "
        f"n = {c.n})."
    )


def interval_text(comparison: significance.Comparison) -> str:
    """`-0.1 to +1.2`."""
    low, high = comparison.interval
    return f"{low:+.1f} to {high:+.1f}"


def random_section(parts: Parts) -> Section:
    """The set minus random images under every kind of labels, the primary comparison first."""
    found = against_random(parts)
    corrected = {one.column: one.p_holm for one in secondary(parts) if one.other == RANDOM}
    body = []
    for name in sorted(found, key=lambda name: name != PRIMARY):
        c = found[name]
        last = "primary" if name == PRIMARY else significance.p_text(corrected[name])
        between = "-" if c.n == 1 else interval_text(c)
        body.append([name, f"{c.difference:+.1f}", between, str(c.n), significance.p_text(c.p), last])
    header = ["labels", f"{parts.subject} minus random", "95 % interval", "n", "p", "p, Holm"]
    about = (
        "Percentage points by which the set is ahead of as many random real images, paired by seed. The primary "
        "comparison was stated in advance and is not corrected; the others are, with those of the sections on noise."
    )
    return Section("The set and random images", [about, markdown_table([header, *body])])


def loss_blocks(parts: Parts, loss: str) -> list[Block]:
    """Last and best accuracy under one loss, with the spread over seeds."""
    rows = of_loss(parts, loss)
    last, best = (make_grid(rows, "images", "labels", value, parts.chance) for value in ("top1_last", "top1_best"))
    picture = pictures.points(f"labels_{loss}", interval_grid(last), f"Top-1 accuracy by labels, {loss}")
    text = "At each student's best look at the test images, which flatters all of them (mean ± standard deviation):"
    return [ABOUT, table(interval_grid(last), "images", worst=None), picture, text, table(best, "images", worst=None)]


def secondary(parts: Parts) -> list[significance.Comparison]:
    """The set against all other images under every kind of labels, without the primary comparison; Holm over all."""
    kept = [one for one in compared(parts) if (one.column, one.other) != (PRIMARY, RANDOM)]
    chances = significance.holm([one.p for one in kept])
    return [one._replace(p_holm=p) for one, p in zip(kept, chances, strict=True)]


def scheduled(parts: Parts) -> list[significance.Comparison]:
    """GIFT against losses that give way to hard labels in the middle of the run, on the same images and soft labels."""
    rows = [
        {**row, "labels": {"loss": loss, "place": f"{name_on(row, 'images')}, {regime}"}}
        for row in parts.equal
        for regime, loss in [split(row)]
        if loss == SUBJECT or loss.endswith(MIDDLE)
    ]
    return significance.compare(rows, row="loss", column="place", subject=SUBJECT, guessing=parts.chance)


def noise_sections(parts: Parts, loss: str) -> list[Section]:
    """The secondary comparisons, a bank against other labels under one loss, and GIFT against soft-hard-soft."""
    rows = of_loss(parts, loss)
    banks = significance.compare(rows, row="labels", column="images", subject=BANK, guessing=parts.chance)
    found = {
        f"{parts.subject} and other images": significance.blocks(secondary(parts), "label kind", parts.subject),
        f"a bank and other labels, {loss}": significance.blocks(banks, "set", BANK),
    }
    if schedules := scheduled(parts):
        found[f"{SUBJECT} and soft-hard-soft"] = significance.blocks(schedules, "case", SUBJECT)
    return [
        Section(f"What is beyond noise: {title}", blocks or ["Nothing to compare."], folded=bool(blocks))
        for title, blocks in found.items()
    ]
