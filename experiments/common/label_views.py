"""What is reported of labels and images: accuracies, whose the gain is, DD-Ranking's scores."""

from collections.abc import Sequence

from gift_jax.reports import pictures, significance
from gift_jax.reports.page import Block, Section
from gift_jax.reports.tables import make_grid

from .label_gains import HARD, RANDOM, WITH, WITHOUT, read_accuracies, score_section, share_section
from .reporting import SPREAD, Row, guessing, only, table

SUBJECT = "gift"


def make_sections(rows: Sequence[Row], *, lrs_weight: float = 0.5, ars_weight: float = 0.5) -> list[Section]:
    """Accuracies, shares, scores, and what of it is more than noise. Args: weights of the scores, see `ranking`."""
    placed = [row for row in rows if "images" in row["labels"]]
    if not any("dataset" in row for row in placed):
        return [Section("Images and labels", ["No student finished."])]
    chance, accuracies = guessing(rows), read_accuracies(rows)
    names = {axis: list(dict.fromkeys(row["labels"][axis] for row in placed)) for axis in ("images", "loss")}
    methods = [name for name in names["images"] if name != RANDOM]
    soft = [name for name in names["loss"] if name != HARD]
    augmented, plain = (only(placed, augmentation=name) for name in (WITH, WITHOUT))
    whole = RANDOM in names["images"] and HARD in names["loss"]
    sections = [
        Section("Images and labels", accuracy_blocks(augmented, "accuracies", "With augmentation", chance)),
        *([share_section(accuracies, methods, soft)] if whole and augmented else []),
        *([score_section(accuracies, methods, names["loss"], lrs_weight, ars_weight)] if whole else []),
        Section("Without augmentation", accuracy_blocks(plain, "plain", "Without augmentation", chance)),
        noise_section("What is more than noise with augmentation", augmented, methods, chance),
        noise_section("What is more than noise without augmentation", plain, methods, chance),
    ]
    curves = pictures.curves("curves", only(augmented, images=names["images"][0]), "loss", f"On {names['images'][0]}")
    return [*sections, Section("Training curves", [curves])]


def accuracy_blocks(rows: Sequence[Row], name: str, title: str, chance: float) -> list[Block]:
    """Losses by images, last and best look, and a picture."""
    if not rows:
        return ["No results."]
    last, best = (make_grid(rows, "loss", "images", look, guessing=chance) for look in ("top1_last", "top1_best"))
    return [
        f"Top-1 accuracy after the last epoch, %, {SPREAD}; `ce` is of hard labels, the others of the teacher's, and "
        "random images are another draw for each seed.",
        table(last, "loss", worst=None),
        pictures.points(name, last, f"{title}: top-1 accuracy by images and loss"),
        "The best look at the test images, which flatters every student:",
        table(best, "loss", worst=None),
    ]


def noise_section(title: str, rows: Sequence[Row], methods: Sequence[str], chance: float) -> Section:
    """GIFT against the other losses on each kind of images, and each set against random images under each loss."""
    tests = significance.compare(rows, row="loss", column="images", subject=SUBJECT, guessing=chance)
    blocks = list(significance.blocks(tests, "images", SUBJECT))
    for method in methods:
        own = [row for row in rows if row["labels"]["images"] in (method, RANDOM)]
        compared = significance.compare(own, row="images", column="loss", subject=method, guessing=chance)
        blocks += significance.blocks(compared, "loss", method)
    return Section(title, blocks or ["Nothing to compare."])
