"""The demo, end to end, in small."""

import pytest

from experiments import quickstart
from gift_jax import load_distilled, load_teacher
from gift_jax.data.evaluation import load_digits_test
from gift_jax.models import get_model
from gift_jax.optim import compared
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports import tables
from gift_jax.studies.results import read_results
from gift_jax.task import train

pytest.importorskip("torch")

FIELDS = {
    *("method", "dataset", "model", "teacher", "loss", "optimizer", "ipc", "seed", "epochs", "recipe", "versions"),
    *("top1_last", "top1_best", "top5_last", "train_seconds", "images_per_second", "device"),
}


@pytest.mark.exhaustive
def test_quickstart_goes_from_teacher_to_report(command, tmp_path):
    status, out, err = command(quickstart, "--out", tmp_path / "q", "--ipc", 2, "--num-seeds", 2, "--epochs", 4)
    assert status == 0, err
    assert {path.name for path in (tmp_path / "q").iterdir()} == {
        "teacher.pth", "teacher", "rded.safetensors", "results.jsonl", "report.md", "report.html", "pictures", "sheets",
    }  # fmt: skip
    results = read_results(tmp_path / "q" / "results.jsonl")
    assert len(results) == 5 * 3 * 2
    assert results[0].keys() >= FIELDS
    assert load_teacher(tmp_path / "q" / "teacher").info.verification.max_relative < 1e-4
    assert load_distilled(tmp_path / "q" / "rded.safetensors").images.shape == (20, 8, 8, 1)
    report = (tmp_path / "q" / "report.md").read_text()
    for word in ("kl", "softce", "mse_ce", "cosine", "gift", "sgd", "adam", "adamw", "worst", "n"):
        assert word in report
        assert word in out
    assert "quickstart, 30 of 30 students to train: 120/120 epochs" in err


@pytest.mark.exhaustive
def test_bfloat16_is_as_accurate_within_a_standard_deviation(tmp_path):
    """The demo's GIFT with AdamW, three seeds in full."""
    config = quickstart.Quickstart(out=tmp_path)
    teacher = quickstart.example_teacher(tmp_path)
    distilled, test = quickstart.distill(config, teacher), load_digits_test()
    cells = []
    for precision in ("float32", "bfloat16"):
        recipe = Recipe(optimizer=compared("adamw").optimizer, epochs=config.epochs, precision=precision)
        runs = train(recipe, get_model(teacher.info.spec), distilled, teacher, test, seeds=range(config.num_seeds))
        cells.append(tables.summarize([run.top1_last for run in runs]))
    assert cells[0].mean > 90
    assert abs(cells[1].mean - cells[0].mean) <= max(cell.std for cell in cells), cells
