"""The accuracy of guessing, and results that are no better; a module of its own, since reports load much else."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from gift_jax.data.datasets import get_dataset
from gift_jax.reports.tables import summarize

Row = Mapping[str, Any]

GUESSING = 1.2  # times the accuracy of guessing: what is no higher is at guessing


def guessing(rows: Sequence[Row]) -> float:
    """The accuracy of guessing, in percent, that diverged runs count with."""
    finished = next((row for row in rows if "dataset" in row), None)
    if finished is None:
        return 0.0
    # The student's own: a report may be made where the dataset is not known.
    spec = finished.get("student")
    return 100 / (spec["num_classes"] if spec else get_dataset(finished["dataset"]).num_classes)


def at_guessing(rows: Sequence[Row]) -> list[str]:
    """A sentence if at least half of the settings are no better than guessing, which their differences then are not."""
    chance, settings = guessing(rows), defaultdict(list)
    for row in rows:
        if "failed" in row or "top1_last" in row:  # and is not of a search, which is not tested
            settings[tuple(row.get("labels", {}).items())].append(row.get("top1_last"))
    means = [summarize(values, chance) for values in settings.values()]
    count = sum(mean.mean <= GUESSING * chance or mean.mean - mean.std <= chance for mean in means)
    if 2 * count < len(means) or not count:
        return []
    where = "" if len(means) == 1 else f" in {count} of {len(means)} settings"
    mend = "train for more --epochs, and check the order of the classes and the teacher"
    return [f"Accuracy is at guessing ({chance:.1f} %){where}; {mend}."]


def warn_at_guessing(rows: Sequence[Row]) -> None:
    """Say on standard error if results are no better than guessing."""
    for text in at_guessing(rows):
        print(f"warning: {text}", file=sys.stderr)
