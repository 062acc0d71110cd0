"""What a report begins with: what was run, a line a comparison, and the table."""

import pytest
from grids import rows_of

from gift_jax.reports import summary
from gift_jax.reports.page import Picture

# Differences of means over the columns: 5.5, 6.5, 7.5, deviation 1; half of the interval is 4.3027 / sqrt(3).
GIFT = {("gift", "sgd"): [90, 92, 94], ("gift", "adam"): [81, 81, 81]}
ROWS = rows_of({**GIFT, ("kl", "sgd"): [80, 80, 80], ("kl", "adam"): [80, 80, 80]})
AXES = {"row": "loss", "column": "optimizer", "subject": "gift"}


def test_a_summary_is_a_picture_a_line_a_comparison_and_a_table():
    picture, lines, table, note = summary.summary(ROWS, **AXES, guessing=10.0, worst=True).blocks
    assert isinstance(picture, Picture)
    assert "off the axis" in picture.content  # guessing
    assert lines == "```\ngift - kl: +6.5 [+4.0, +9.0], n = 3, p = 0.008\n```"
    assert table.rows[0] == ["loss (n = 3)", "sgd", "adam", "worst"]
    assert note.startswith(f"{summary.ACCURACY} {summary.TESTED}")


@pytest.mark.parametrize(("rows", "subject"), [(ROWS, "ce"), (ROWS[:6], "gift")])
def test_nothing_is_compared_without_the_subject_or_alone(rows, subject):
    names = {**AXES, "subject": subject}
    _, _, note = summary.summary(rows, **names, guessing=10.0).blocks
    assert note == summary.ACCURACY
    assert summary.differences(rows, **names) == []


RECIPE = {"epochs": 100, "batch_size": None, "max_steps": None}
RUN = {"dataset": "digits", "method": "rded", "ipc": 10, "teacher": "conv2", "model": "conv3", "optimizer": "sgd",
       "recipe": RECIPE, "student": {"num_classes": 10}, "seed": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "count"),
    [({}, 200), ({"batch_size": 30}, 400), ({"max_steps": 1}, 100), ({"batch_size": 200}, 100)],
)
def test_steps_of_a_hundred_images(changes, count):
    assert summary.steps({**RUN, "recipe": {**RECIPE, **changes}}) == count
