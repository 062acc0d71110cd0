"""Evaluations of several settings in one directory: a row each, named by what differs, whatever it is."""

import pytest

from experiments.common.evaluation_views import by_what_differs, make_sections
from gift_jax.reports.page import Table

RECIPE = {"loss": "gift", "loss_options": [], "epochs": 100, "batch_size": None, "max_steps": None,
          "precision": "float32", "optimizer": {"name": "sgd", "learning_rate": 0.1}}  # fmt: skip
ROW = {"method": "rded", "dataset": "digits", "model": "conv2", "teacher": "conv2", "teacher_sha256": "a1" * 16,
       "loss": "gift", "optimizer": "sgd", "ipc": 10, "epochs": 100, "recipe": RECIPE, "soft_labels": None,
       "student": {"name": "conv2", "num_classes": 10, "options": [["width", 32]]}, "distilled": {"seed": "0"},
       "versions": {}, "device": "d", "train_seconds": 1.0, "history": [{"epoch": 100, "top1": 1.0}]}  # fmt: skip


def runs(top1, **changes):
    """Two seeds of one setting."""
    figures = {"top1_last": top1, "top1_best": top1, "top5_last": 99.0}
    return [{**ROW, **changes, **figures, "seed": seed, "cell": f"{changes}{seed}"} for seed in (0, 1)]


CHANGES = {
    "teacher": ({"teacher_sha256": "b2" * 16}, "teacher b2b2b2b2"),
    "epochs": ({"epochs": 200, "recipe": {**RECIPE, "epochs": 200}}, "epochs 200"),
    "method": ({"method": "datm"}, "method datm"),
    "student": ({"student": {**ROW["student"], "options": [["width", 64]]}}, "student width 64"),
    "what no other field says": ({"setting": "c3c3c3c3c3c3"}, "setting c3c3c3c3c3c3"),
    "what another field says": ({"setting": "c3c3c3c3c3c3", "teacher_sha256": "b2" * 16}, "teacher b2b2b2b2"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_two_settings_are_two_rows(kind):
    changes, name = CHANGES[kind]
    first = runs(90.7, **{"setting": "d4d4d4d4d4d4"} if "setting" in changes else {})
    [_, _, table, _] = make_sections([*first, *runs(9.7, **changes)])[0].blocks
    rows = {row[1]: row[2:] for row in table.rows[1:]}
    assert len(rows) == 2
    assert rows[f"sgd, {name}"] == ["2", "9.7 ± 0.0", "9.7 ± 0.0", "99.0 ± 0.0"]


def test_options_of_a_loss_are_part_of_its_name_and_losses_are_compared_all_else_equal():
    softer = {"recipe": {**RECIPE, "loss_options": [["weight", 0.3]]}}
    kl = {"loss": "kl", "recipe": {**RECIPE, "loss": "kl"}}
    other = {"teacher_sha256": "b2" * 16}
    rows = [*runs(90.0), *runs(80.0, **softer), *runs(70.0, **kl), *runs(20.0, **other), *runs(10.0, **kl, **other)]
    named = {row["labels"]["loss"] for row in by_what_differs(rows)}
    assert named == {"gift, default weight", "gift, weight 0.3", "kl, default weight"}
    sections = make_sections([*runs(90.0), *runs(70.0, **kl), *runs(20.0, **other), *runs(10.0, **kl, **other)])
    table = next(block for block in sections[1].blocks if isinstance(block, Table))
    assert table.rows == [
        ["points (n = 2)", "gift - kl"],
        ["sgd, teacher a1a1a1a1", "+20.0"],
        ["sgd, teacher b2b2b2b2", "+10.0"],
    ]


def test_runs_that_differ_in_nothing_that_is_known_are_refused():
    twins = [{**row, "cell": f"other {row['seed']}"} for row in runs(10.0)]
    with pytest.raises(Exception, match="two runs differ in something that their results do not name"):
        make_sections([*runs(90.0), *twins])
