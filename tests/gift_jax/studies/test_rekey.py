"""Results under old keys: what records the same setting is known again, and nothing else is."""

import copy
import dataclasses
import json

import pytest
from setups import INFO, distilled_set, evaluation_set, random_teacher

from gift_jax.errors import GiftError
from gift_jax.models import get_model
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.files import locked
from gift_jax.studies import grid, grid_plan
from gift_jax.studies.cells import Cell
from gift_jax.studies.rekey import rekey
from gift_jax.studies.results import read_results
from gift_jax.task import Task


@pytest.fixture(scope="module")
def cells():
    recipe = Recipe(epochs=1, evaluations=1)
    parts = (get_model(INFO.spec), distilled_set(), random_teacher(), evaluation_set())
    tasks = {loss: Task(dataclasses.replace(recipe, loss=loss), *parts) for loss in ("gift", "kl")}
    return [Cell({"loss": loss}, task, seed) for loss, task in tasks.items() for seed in (0, 1)]


def test_only_rows_that_record_the_cells_setting_get_its_key(cells, tmp_path):
    path = tmp_path / "results.jsonl"
    grid.run_grid(cells, tmp_path, experiment="e")
    made = read_results(path)
    old = [{**copy.deepcopy(row), "cell": f"old {number}"} for number, row in enumerate(made)]
    for row in old:
        del row["digests"]  # which rows of earlier versions lack
        row["recipe"]["normalisation"] = None
    old[1]["recipe"]["optimizer"]["learning_rate"] = 1.0
    old[2]["teacher_sha256"] = "another"
    old.append({**old[3], "labels": {"loss": "mse"}})
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    assert grid_plan.make_plan(cells, tmp_path).pending == 4
    (listed := tmp_path / "grid-0123456789abcdef.json").write_text("{}")  # by the old keys
    count, others = rekey(cells, tmp_path)
    assert not listed.exists()
    assert count == 2
    assert [line.partition(":")[0] for line in others] == ["gift, seed 1", "kl, seed 0", "mse, seed 1"]
    assert "recipe.optimizer.learning_rate: 1.0 there" in others[0]
    assert "teacher_sha256" in others[1]
    assert [line[1] for line in grid_plan.make_plan(cells, tmp_path).lines] == [
        "1 finished, 1 to run", "1 to run, 1 finished",
    ]  # fmt: skip
    found = read_results(path)
    assert [{**row, "cell": ""} for row in found] == [{**row, "cell": ""} for row in old]
    assert rekey(cells, tmp_path)[0] == 0


def test_results_that_another_process_writes_are_left_alone(cells, tmp_path):
    path = tmp_path / "results-1-of-2.jsonl"
    path.write_text("")
    with locked(path, "busy"), pytest.raises(GiftError, match=r"results-1-of-2\.jsonl: another process"):
        rekey(cells, tmp_path)
    assert rekey(cells, tmp_path) == (0, [])
    assert [*tmp_path.iterdir()] == [path]


def test_a_row_of_this_version_and_a_second_one_of_a_setting_keep_their_keys(cells, tmp_path):
    """They are of other test images, say, which rows record by a digest, or by a `setting`, one of everything."""
    path = tmp_path / "results.jsonl"
    [row] = grid.run_grid(cells[:1], tmp_path, experiment="e")
    other = {**row, "cell": "other", "digests": {**row["digests"], "test_images": "0123456789abcdef"}}
    old = {name: value for name, value in other.items() if name != "digests"}
    before = {**old, "cell": "before", "setting": "0123456789ab"}
    evaluated = {name: value for name, value in row.items() if name not in ("labels", "experiment")}
    for written in ([row, other, old, before, evaluated], [old, other, evaluated, before, row]):
        path.write_text("".join(json.dumps(one) + "\n" for one in written))
        count, others = rekey(cells, tmp_path)
        assert (count, len(others)) == (0, 3)
        assert read_results(path) == written
        assert grid_plan.make_plan(cells, tmp_path).pending == 3
