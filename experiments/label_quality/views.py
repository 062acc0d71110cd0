"""What is reported of labels and images: accuracies, whose the gain is, DD-Ranking's scores."""

from collections.abc import Sequence

from gift_jax.reports.page import Section, Table
from gift_jax.reports.summary import ACCURACY, SUBJECT, TITLE, best_evaluations, differences, summary
from gift_jax.reports.tables import grid_table, make_grid

from ..common.label_gains import HARD, RANDOM, WITH, WITHOUT, read_accuracies, score_section, share_section
from ..common.reporting import Row, curves, fold, guessing, only

ABOUT = f"{ACCURACY} `ce` takes hard labels and the others the teacher's; each seed draws its own random images."


def make_sections(rows: Sequence[Row], *, lrs_weight: float = 0.5, ars_weight: float = 0.5) -> list[Section]:
    """Accuracies, shares, scores and differences. Args: weights of the scores, see `ranking`."""
    placed = [row for row in rows if "images" in row["labels"]]
    augmented, plain = (only(placed, augmentation=name) for name in (WITH, WITHOUT))
    if not augmented:
        return [Section(TITLE, ["No student with augmentation finished."])]
    chance, accuracies = guessing(rows), read_accuracies(rows)
    names = {axis: list(dict.fromkeys(row["labels"][axis] for row in placed)) for axis in ("images", "loss")}
    methods = [name for name in names["images"] if name != RANDOM]
    soft = [name for name in names["loss"] if name != HARD]
    axes = {"row": "loss", "column": "images", "guessing": chance}
    sections = [
        summary(augmented, **axes, subject=SUBJECT, note=ABOUT),
        *best_evaluations(augmented, **axes),
        share_section(accuracies, methods, soft),
        score_section(accuracies, methods, names["loss"], lrs_weight, ars_weight),
        *fold("Differences", _differences(augmented, methods, chance)),
    ]
    if plain:
        grid = make_grid(plain, "loss", "images", guessing=chance)
        blocks = [grid_table(grid, "loss"), *_differences(plain, methods, chance)]
        sections.append(Section("Without augmentation", blocks, folded=True))
    first = names["images"][0]
    return [*sections, *curves(only(augmented, images=first), "loss", f"Images: {first}")]


def _differences(rows: Sequence[Row], methods: Sequence[str], chance: float) -> list[Table]:
    """GIFT against the other losses, and each set against random images."""
    found = differences(rows, "loss", "images", SUBJECT, guessing=chance)
    for method in methods:
        pair = [row for row in rows if row["labels"]["images"] in (method, RANDOM)]
        found += differences(pair, "images", "loss", method, guessing=chance)
    return found
