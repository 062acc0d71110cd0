"""Results and reports, by hand on small cases."""

import numpy as np
import pytest
from grids import rows_of

from gift_jax.reports import significance, tables
from gift_jax.runtime import progress, provenance

RESULTS = [
    {"loss": loss, "optimizer": optimizer, "top1_last": value}
    for loss, optimizer, values in [
        ("kl", "sgd", (10.0, 12.0)),
        ("kl", "adam", (90.0, 92.0)),
        ("gift", "sgd", (80.0, 82.0)),
        ("gift", "adam", (89.0, 91.0)),
    ]
    for value in values
]
GRID = tables.make_grid(RESULTS, "loss", "optimizer")


def test_cells_hold_mean_sample_std_and_n():
    assert GRID.cells["kl", "sgd"] == pytest.approx((11.0, np.sqrt(2), 2, 0))
    assert tables.summarize([5.0]) == pytest.approx((5.0, np.nan, 1, 0), nan_ok=True)


SUMMARIES = [([5.0], "5.0"), ([None, None], "diverged"), ([None, 20.0], "15.0 ± 7.1 (1 of 2 diverged)")]


@pytest.mark.parametrize(("values", "text"), SUMMARIES)
def test_one_run_has_no_spread_and_diverged_ones_are_counted(values, text):
    assert str(tables.summarize(values, 10.0)) == text


def test_table_is_ordered_by_the_worst_column():
    table = tables.grid_table(GRID, "loss", worst=True)
    assert table.rows[0] == ["loss (n = 2)", "sgd", "adam", "worst"]
    assert [row[0] for row in table.rows[1:]] == ["`gift`", "`kl`"]
    assert table.rows[2] == ["`kl`", "11.0 ± 1.4", "91.0 ± 1.4", "11.0 ± 1.4"]
    assert table.markdown.splitlines()[1] == "| --- | ---: | ---: | ---: |"


def test_a_missing_cell_is_a_dash_and_its_row_has_no_worst():
    table = tables.grid_table(tables.make_grid(RESULTS[:6], "loss", "optimizer"), "loss", worst=True)
    assert [row[0] for row in table.rows] == ["loss (n = 2)", "`kl`", "`gift`"]
    assert table.rows[2] == ["`gift`", "81.0 ± 1.4", "-", "-"]


def test_names_keep_their_order_and_numbers_ascend():
    assert tables.in_order(["10", "0.3", "10", "2"]) == ("0.3", "2", "10")
    assert tables.in_order(["sgd", "10", "adam", "sgd"]) == ("sgd", "10", "adam")


def nested(path, value):
    """`{"a": {"b": value}}` of the path `a.b`."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


SETTINGS = {
    "recipe.optimizer.learning_rate": (0.1, 0.01, "learning rate 0.1", "learning rate 0.01"),
    "recipe.precision": ("float32", "f16", "precision float32", "precision f16"),
    "recipe": ({"epochs": 1}, {"epochs": 1, "loss_options": [["weight", 0.3]]}, "default weight", "weight 0.3"),
    "teacher_sha256": ("a1" * 16, "b2" * 16, "teacher a1a1a1a1", "teacher b2b2b2b2"),
    "teacher": ("conv2", None, "teacher conv2", "no teacher"),
    "distilled.seed": ("0", "1", "set seed 0", "set seed 1"),
    "student.width": (4, 8, "student width 4", "student width 8"),
    "ipc": (1, 10, "ipc 1", "ipc 10"),
    "digests.test_images": (8 * "a1", 8 * "b2", "test images a1a1a1a1", "test images b2b2b2b2"),
    "digests.images": (8 * "a1", 8 * "b2", "images a1a1a1a1", "images b2b2b2b2"),
}


@pytest.mark.parametrize("path", SETTINGS)
def test_two_settings_under_one_name_are_two_rows_and_two_families(path):
    one, other, *differences = SETTINGS[path]
    names = [f"gift, {difference}" for difference in differences]
    results = rows_of({("gift", "sgd"): [90, 91], ("kl", "sgd"): [80, 80]}, **nested(path, one))
    results += rows_of({("gift", "sgd"): [9, 10], ("kl", "sgd"): [20, 20]}, **nested(path, other))
    grid = tables.make_grid(results, "loss", "optimizer")
    assert [row for row in grid.rows if row.startswith("gift")] == names
    assert [grid.cell(name, "sgd").mean for name in names] == [90.5, 9.5]
    found = significance.compare(results, row="loss", column="optimizer", subject="gift")
    columns = [name.replace("gift", "sgd") for name in names]
    assert [(test.column, test.difference, test.n) for test in found] == [(columns[0], 10.5, 2), (columns[1], -10.5, 2)]


def test_seeds_of_one_setting_stay_together():
    figures = rows_of({("gift", "sgd"): [1, 2]}, experiment="x")
    drawn = [
        {**row, "distilled": {"made": f"draw {row['seed']}"}, "digests": {"images": str(row["seed"])}}
        for row in figures
    ]
    assert tables.make_grid(drawn, "loss", "optimizer").rows == ("gift",)


def test_digests_tell_apart_what_nothing_else_does_whatever_an_older_row_says():
    one, two, older = ({"a": "1", **own} for own in ({"setting": "x"}, {"setting": "y"}, {}))
    assert tables.differing([one, two]) == ["setting"]
    assert tables.differing([one, two, {**older, "a": "2"}]) == ["a", "setting"]
    assert tables.differing([{**one, "a": "2"}, two]) == ["a"]
    assert tables.differing([one, older]) == []


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    console = progress.Console
    monkeypatch.setattr(progress, "Console", lambda stderr: console(stderr=stderr, force_terminal=True, width=120))
    with progress.display("students", 4, "epochs") as advance:
        advance(4, "done")
    output = capsys.readouterr().err
    assert "4/4" in output
    assert "\x1b" in output


def test_rows_name_versions_and_device():
    assert {"python", "jax", "flax", "optax"} <= provenance.versions().keys()
    assert provenance.device().startswith("8 x CPU")
