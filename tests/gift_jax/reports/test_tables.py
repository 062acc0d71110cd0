"""Results and reports, by hand on small cases."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gift_jax.errors import GiftError
from gift_jax.reports import heatmap, tables
from gift_jax.runtime import progress, provenance
from gift_jax.runtime.files import append_json_line
from gift_jax.studies.results import read_results

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
    assert tables.summarize([5.0]) == (5.0, 0.0, 1, 0)


def test_table_is_ordered_by_the_worst_column():
    rows = tables.table_rows(GRID, "loss")
    assert rows[0] == ["loss", "sgd", "adam", "worst"]
    assert [row[0] for row in rows[1:]] == ["gift", "kl"]
    assert rows[2] == ["kl", "11.0 ± 1.4", "91.0 ± 1.4", "11.0 ± 1.4"]
    assert tables.markdown_table(rows).splitlines()[1] == "| --- | ---: | ---: | ---: |"


def test_words_tell_victories_and_defeats():
    text = tables.describe(GRID, "gift")
    assert "best under 1 of 2 (sgd)" in text
    assert "Under adam it loses to `kl` by 1.0 points, within one standard deviation (1.4)." in text
    assert "`gift` falls by 9.0 points; `kl` falls furthest, by 80.0." in text
    assert "number 1 of 2: `gift` 81.0, `kl` 11.0" in text
    assert "more than one standard deviation" in tables.describe(GRID, "kl")


def test_a_missing_cell_is_an_error():
    with pytest.raises(KeyError):
        tables.table_rows(tables.make_grid(RESULTS[:6], "loss", "optimizer"), "loss")


def test_heatmap_is_a_picture(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8))
    heatmap.save_heatmap(tmp_path / "x.png", GRID, title="t", images=images, images_title="i")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_results_are_read_back_and_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "runs" / "results.jsonl"
    for row in RESULTS:
        append_json_line(path, row)
    assert read_results(path) == RESULTS
    path.write_text(path.read_text() + '{"loss": \n')
    with pytest.raises(GiftError, match=r"results\.jsonl: line 9 is not JSON"):
        read_results(path)
    with pytest.raises(GiftError, match=r"none\.jsonl"):
        read_results(tmp_path / "none.jsonl")


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
    assert json.dumps(vars(SimpleNamespace(**provenance.versions())))
