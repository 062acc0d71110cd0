"""Grids of runs: what is run, what is not run again, what fails, and how parts come together."""

import contextlib
import json
import os
import signal
import time
from collections import defaultdict

import numpy as np
import pytest
from grids import RUNS, Echo
from setups import distilled_set, evaluation_set, random_teacher

from gift_jax.errors import GiftError, Preempted
from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.studies import grid, grid_plan
from gift_jax.studies.cells import Cell, curve, rounded
from gift_jax.studies.results import read_results
from gift_jax.task import Task
from gift_jax.training.epochs import make_epoch
from gift_jax.training.identity import fingerprint

CELLS = [Echo(value, seed) for value in (1.0, 2.0, 3.0) for seed in (0, 1)]


@pytest.fixture(autouse=True)
def _forget_runs():
    RUNS.clear()


def run(cells, out, **options):
    return grid.run_grid(cells, out, experiment="echo", **options)


def test_seeds_that_would_be_trained_twice_are_refused(tmp_path):
    with pytest.raises(GiftError, match="give each cell, and each seed, once"):
        run([Echo(1.0, 3), Echo(1.0, 3)], tmp_path)
    assert not RUNS
    for seed in (-1, 2**32):
        with pytest.raises(GiftError, match="whole numbers from 0"):
            make_cell(seed=seed)


def test_finished_cells_are_not_run_again(tmp_path):
    first = run(CELLS[:4], tmp_path)
    assert RUNS == [(1.0, 0), (1.0, 1), (2.0, 0), (2.0, 1)]
    again = run(CELLS, tmp_path)
    assert RUNS[4:] == [(3.0, 0), (3.0, 1)]
    assert again[:4] == first
    assert [row["top1_last"] for row in again] == [1, 1, 2, 2, 3, 3]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 6


def test_a_failing_cell_is_a_row_and_is_retried_only_when_asked(tmp_path, capsys):
    cells = [Echo(-1.0), Echo(0.0), Echo(1.0)]
    rows = run(cells, tmp_path)
    assert [row.get("failed") for row in rows] == ["diverged", "error", None]
    assert rows[0]["reason"] == "training stopped: the loss is nan"
    assert rows[1]["reason"].startswith("ZeroDivisionError: value is zero (grids.py, line ")
    assert rows[0]["configuration"] == {"value": -1.0, "seed": 0}
    assert "echo -1, seed 0: diverged: training stopped" in capsys.readouterr().err
    run(cells, tmp_path)
    assert len(RUNS) == 3
    run(cells, tmp_path, retry_failed=True)
    assert RUNS[3:] == [(-1.0, 0), (0.0, 0)]


def test_cells_at_once_give_the_same_rows_in_the_same_order(tmp_path):
    cells = [make_cell(labels={"loss": loss}, recipe=Recipe(loss=loss, epochs=2, evaluations=1), seed=seed)
             for loss in ("gift", "kl") for seed in (0, 1)]  # fmt: skip
    cells.insert(2, Echo(-1.0))
    alone, together = run(cells, tmp_path / "a"), run(cells, tmp_path / "b", jobs=3)
    strip = lambda rows: [{k: v for k, v in row.items() if k not in grid.CIRCUMSTANCES} for row in rows]  # noqa: E731
    assert strip(together) == strip(alone)
    assert strip(grid.read_rows([tmp_path / "b"])) == strip(alone)


def test_one_part_is_run_by_one_process_at_a_time(tmp_path, monkeypatch):
    told = []

    def meanwhile(cell, on_epoch):
        with pytest.raises(GiftError, match=r"results\.jsonl: another process runs this part") as refused:
            run([Echo(2.0)], tmp_path)
        told.append(refused)
        return {"top1_last": 1.0, "epochs": 2, "seed": 0, "seconds": 1.0}

    monkeypatch.setattr(Echo, "run", meanwhile)
    run([Echo(1.0)], tmp_path)
    assert len(told) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_one_configuration_under_two_names_is_run_once(tmp_path):
    rows = run([Echo(1.0, name="first"), Echo(1.0, name="second")], tmp_path)
    assert len(RUNS) == 1
    assert [row["labels"]["value"] for row in rows] == ["first 1", "second 1"]
    assert grid.merge(grid.read_rows([tmp_path])) == (rows, [])


def test_a_cell_whose_row_was_cut_short_is_run_again(tmp_path):
    rows = run(CELLS, tmp_path)
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text()[:-20])
    assert run(CELLS, tmp_path) == rows
    assert RUNS[6:] == [(3.0, 1)]
    assert read_results(path) == rows


def test_parts_are_disjoint_complete_and_keep_seeds_together(tmp_path):
    named = [grid.take_shard(CELLS, grid.parse_shard(f"{index}/2")) for index in (1, 2)]
    parts = [[cell for _, cell in part] for part in named]
    assert [cell.value for cell in parts[0]] == [1, 1]
    assert sorted(cell.value for part in parts for cell in part) == [1, 1, 2, 2, 3, 3]
    for index in (1, 2):
        run(CELLS, tmp_path, shard=grid.Shard(index, 2))
    listed, *results = sorted(path.name for path in tmp_path.iterdir())
    assert results == ["results-1-of-2.jsonl", "results-2-of-2.jsonl"]
    names = {part: [*cells.values()] for part, cells in grid.read_grid(tmp_path / listed).items()}
    assert names == {
        file: [grid.name_of(cell.labels, cell.seed) for cell in part] for file, part in zip(results, parts, strict=True)
    }
    assert len(run(CELLS, tmp_path)) == 6  # all parts are known: nothing is run again
    assert len(RUNS) == 6


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", ""])
def test_bad_parts_are_refused(text):
    with pytest.raises(GiftError, match="must be i/n"):
        grid.parse_shard(text)


def test_merging_drops_duplicates_and_names_contradictions(tmp_path):
    one, two = run(CELLS[:1], tmp_path / "a"), run(CELLS[:2], tmp_path / "b")
    failed = {**two[1], "failed": "diverged"}
    rows, contradictions = grid.merge([*one, failed, *two, {**two[1], "top1_last": 9.0, "device": "1 x GPU"}])
    assert [row["top1_last"] for row in rows] == [1.0, 1.0]
    assert not any("failed" in row for row in rows)
    assert contradictions == ["echo 1, seed 1: top1_last differ (None and 1 x GPU)"]
    assert grid.merge(grid.read_rows([tmp_path / "a", tmp_path / "b" / "results.jsonl"]))[1] == []


def test_a_directory_without_results_is_named(tmp_path):
    with pytest.raises(GiftError, match=r"holds no results\*\.jsonl"):
        grid.read_rows([tmp_path])


def test_a_plan_lists_cells_and_estimates_from_a_measurement_or_from_results(tmp_path):
    plan = grid_plan.make_plan(CELLS, tmp_path)
    assert (plan.pending, plan.epochs) == (6, 12)
    assert plan.source.startswith("measured")
    assert RUNS == [(1.0, 0), (1.0, 0), (3.0, 0)]  # a few epochs, again, and of the last program
    run([*CELLS[:2], Echo(-1.0)], tmp_path)
    plan = grid_plan.make_plan([*CELLS, Echo(-1.0)], tmp_path)
    assert plan.lines == [
        *(("echo 1", "2 finished"), ("echo 2", "2 to run"), ("echo 3", "2 to run"), ("echo -1", "1 diverged"))
    ]
    assert plan.total == 7
    assert plan.seconds == pytest.approx(4 * 2 * 0.5)
    assert plan.source == "estimated from 2 earlier results"
    assert grid_plan.make_plan(CELLS[:2], tmp_path).seconds is None


def test_a_plan_takes_no_results_of_another_workload_for_its_own(tmp_path):
    """Of two workloads one has a result, 0.5 s an epoch; the other one is measured, though many others are there."""
    run(CELLS, tmp_path)
    plan = grid_plan.make_plan([*CELLS, Echo(8.0), Echo(9.0, name="slow")], tmp_path)
    assert plan.source.startswith("estimated from 6 earlier results; measured: ")
    assert plan.seconds == pytest.approx(2 * 0.5, abs=0.1)
    assert RUNS[-2:] == [(9.0, 0)] * 2


def test_curves_keep_the_first_and_the_last_epoch():
    points = curve(np.linspace(1, 0, 200))
    assert (len(points), points[0], points[-1]) == (20, (1, 1.0), (200, 0.0))
    assert curve(np.array([0.25])) == [(1, 0.25)]


def test_rows_are_rounded_to_six_digits():
    row = {"top1": 96.01328903654485, "rate": 1e-4, "epochs": 100, "losses": [(1, 1 / 3)], "none": None}
    expected = {"top1": 96.0133, "rate": 1e-4, "epochs": 100, "losses": [[1, 0.333333]], "none": None}
    assert rounded(row) == expected


def make_cell(**changes):
    teacher = random_teacher()
    own = {name: changes.pop(name) for name in ("labels", "seed", "validation_set") if name in changes}
    recipe, student = Recipe(epochs=2, evaluations=1), get_model(teacher.info.spec)
    parts = {"recipe": recipe, "student": student, "distilled": distilled_set(), "teacher": teacher}
    return Cell(**{"labels": {"loss": "gift"}, **own}, task=Task(**{**parts, "test_set": evaluation_set(), **changes}))


def test_an_ordinary_cell_is_trained_tested_and_validated(tmp_path):
    watched = defaultdict(list)

    @contextlib.contextmanager
    def log(name):
        yield lambda *figures: watched[name].append(figures)
        watched[name].append("the end")

    cells = [make_cell(seed=seed, validation_set=evaluation_set(7)) for seed in (0, 1)]
    rows = run(cells, tmp_path, log=log, jobs=2)
    assert rows[0]["labels"] == {"loss": "gift"}
    assert [len(row["losses"]) for row in rows] == [2, 2]
    assert all(0 <= row["validation_top1"] <= 100 for row in rows)
    assert set(watched) == {"gift, seed 0", "gift, seed 1"}
    for *figures, end in watched.values():
        assert [(curve, epoch) for curve, _, epoch in figures] == [("loss", 1), ("loss", 2), ("top1", 2)]
        assert end == "the end"
    assert json.loads((tmp_path / "results.jsonl").read_text().splitlines()[1])["seed"] == 1


def test_identity_is_of_everything_but_the_names():
    base = make_cell()
    same = make_cell(labels={"loss": "GIFT"}, distilled=distilled_set())
    assert fingerprint(base.identity()) == fingerprint(same.identity())
    pixels = distilled_set()
    pixels.images[0, 0, 0, 0] ^= 1
    others = [
        make_cell(seed=1),
        make_cell(recipe=Recipe(epochs=2, evaluations=1, optimizer=Optimizer(learning_rate=2e-3))),
        make_cell(distilled=pixels),
        make_cell(distilled=distilled_set(labels=pixels.labels[::-1])),
        make_cell(distilled=distilled_set(soft_labels=np.zeros((22, 10), "f"))),
        make_cell(teacher=random_teacher(1)),
        make_cell(test_set=evaluation_set(22)),
        make_cell(validation_set=evaluation_set(22)),
    ]
    assert len({fingerprint(cell.identity()) for cell in [base, *others]}) == 1 + len(others)


def test_rates_share_a_compilation_and_change_the_result():
    rates = [Recipe(epochs=2, evaluations=1, optimizer=Optimizer(learning_rate=rate)) for rate in (1e-3, 1e-1)]
    make_epoch.cache_clear()
    losses = [make_cell(recipe=recipe).run(lambda epochs, loss: None)["losses"] for recipe in rates]
    assert make_epoch.cache_info().misses == 1
    assert losses[0] != losses[1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_that_is_asked_to_stop_says_what_is_kept(jobs, tmp_path, monkeypatch):
    def run_cell(cell, on_epoch):
        on_epoch(1, 1.0)
        if cell == CELLS[3]:
            signal.raise_signal(signal.SIGTERM) if jobs == 1 else os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        return {"top1_last": cell.value, "seed": cell.seed}

    monkeypatch.setattr(Echo, "run", run_cell)
    with pytest.raises(Preempted, match=r"of 6 students are finished, and kept in .*results.jsonl"):
        run(CELLS, tmp_path, jobs=jobs)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    monkeypatch.undo()
    done = len(read_results(tmp_path / "results.jsonl")) if jobs == 1 else None
    assert done in (3, None)
    assert len(run(CELLS, tmp_path)) == 6
