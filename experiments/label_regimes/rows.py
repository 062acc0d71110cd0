"""Results of kinds of labels as the views read them: by loss, with intervals, and without what did not finish."""

from collections.abc import Sequence
from typing import NamedTuple

from gift_jax.reports import significance
from gift_jax.reports.tables import Grid, Summary, make_grid, name_on, summarize

from ..common.reporting import Row
from .pruning import METHODS

SUBJECT, RANDOM = "gift", "random"
HARD, BANK, LIVE = "hard", "bank", "live"
MIDDLE = "_soft_hard_soft"  # after the name of a loss that gives way to hard labels in the middle of the run
PRIMARY = f"{BANK}, {SUBJECT}"
MORE, ALL = "hard-labelled", "all real images"  # axes of the students of more images
INTERVAL = "mean ± half of its 95 % interval over seeds (Student's t)"


class Results(NamedTuple):
    """Rows of as many images, rows of more of them with hard labels, rows of all real ones, and guessing's accuracy."""

    equal: list[Row]
    more: list[Row]
    whole: list[Row]
    chance: float

    @property
    def subject(self) -> str:
        """The distilled set's name: the first kind of images that is neither random nor pruned; "" if there is none."""
        kinds = (name_on(row, "images") for row in self.equal)
        return next((kind for kind in kinds if kind not in (RANDOM, *METHODS)), "")

    def losses(self) -> list[str]:
        """The losses of soft labels, GIFT first if it is one of them."""
        found = dict.fromkeys(split(row)[1] for row in self.equal if split(row)[1])
        return sorted(found, key=lambda loss: loss != SUBJECT)

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


def split(row: Row) -> tuple[str, str]:
    """Kind of labels and loss, "" of hard ones."""
    regime, _, loss = name_on(row, "labels").partition(", ")
    return regime, loss


def with_interval(cell: Summary) -> Summary:
    """The mean with half of its 95 % interval in place of the standard deviation."""
    return cell._replace(std=significance.half_interval(cell.std, cell.n))
