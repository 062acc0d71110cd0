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


def test_one_run_has_no_spread():
    assert str(tables.summarize([5.0])) == "5.0"
    assert str(tables.summarize([None], 10.0)) == "diverged"
    assert str(tables.Summary()) == "-"


def test_table_is_ordered_by_the_worst_column():
    table = tables.grid_table(GRID, "loss")
    assert table.rows[0] == ["loss (n = 2)", "sgd", "adam", "worst"]
    assert [row[0] for row in table.rows[1:]] == ["`gift`", "`kl`"]
    assert table.rows[2] == ["`kl`", "11.0 ± 1.4", "91.0 ± 1.4", "11.0 ± 1.4"]
    assert table.markdown.splitlines()[1] == "| --- | ---: | ---: | ---: |"


def test_a_missing_cell_is_a_dash_and_its_row_has_no_worst():
    table = tables.grid_table(tables.make_grid(RESULTS[:6], "loss", "optimizer"), "loss")
    assert table.rows[1][0] == "`kl`"
    assert table.rows[2] == ["`gift`", "81.0 ± 1.4", "-", "-"]


def recipe(rate, **more):
    return {"recipe": {"optimizer": {"name": "sgd", "learning_rate": rate}, **more}}


def options(*pairs):
    return {"recipe": {"epochs": 1, "loss_options": [*pairs]}}


def digests(pair, name="test_images"):
    return {"digests": {name: 8 * pair}}


SETTINGS = {
    "rate": (recipe(0.1), recipe(0.01), "learning rate 0.1", "learning rate 0.01"),
    "teacher": ({"teacher_sha256": "a1" * 16}, {"teacher_sha256": "b2" * 16}, "teacher a1a1a1a1", "teacher b2b2b2b2"),
    "no teacher": ({"teacher": "conv2"}, {"teacher": None}, "teacher conv2", "no teacher"),
    "precision": (recipe(1, precision="float32"), recipe(1, precision="f16"), "precision float32", "precision f16"),
    "set": ({"distilled": {"seed": "0"}}, {"distilled": {"seed": "1"}}, "set seed 0", "set seed 1"),
    "student": ({"student": {"width": 4}}, {"student": {"width": 8}}, "student width 4", "student width 8"),
    "images": ({"ipc": 1}, {"ipc": 10}, "ipc 1", "ipc 10"),
    "options": (options(), options(["weight", 0.3]), "default weight", "weight 0.3"),
    "test images": (digests("a1"), digests("b2"), "test images a1a1a1a1", "test images b2b2b2b2"),
    "set's images": (digests("a1", "images"), digests("b2", "images"), "images a1a1a1a1", "images b2b2b2b2"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_two_settings_under_one_name_are_two_rows_and_two_families(kind):
    one, other, *differences = SETTINGS[kind]
    names = [f"gift, {difference}" for difference in differences]
    results = rows_of({("gift", "sgd"): [90, 91], ("kl", "sgd"): [80, 80]}, **one)
    results += rows_of({("gift", "sgd"): [9, 10], ("kl", "sgd"): [20, 20]}, **other)
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


def test_progress_in_a_log_is_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with progress.display("students", 4, "epochs") as advance:
        advance(1, "gift, loss 0.5")
        advance(3, "gift, loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["students: 1/4 epochs", "students: 4/4 epochs"]
    assert lines[1].endswith("loss 0.1")
    assert "\x1b" not in "".join(lines)


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
