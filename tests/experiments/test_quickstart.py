"""The demo's accuracy in bfloat16. (From its teacher to its report: test_readme.py.)"""

import pytest

from experiments import quickstart
from gift_jax.data.evaluation import load_digits_test
from gift_jax.models import get_model
from gift_jax.optim import compared
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports import tables
from gift_jax.task import train

pytest.importorskip("torch")


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
