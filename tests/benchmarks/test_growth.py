"""The exponents of what grows, and every task in small."""

import json

import pytest

from benchmarks import growth


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_found_whatever_the_start_up(power):
    sizes = (10, 40, 160)
    costs = tuple(7.0 + 0.3 * size**power for size in sizes)
    assert growth.exponent(sizes, costs, noise=0.0) == pytest.approx(power)


def test_growth_within_noise_has_none():
    assert growth.exponent((10, 40, 160), (5.0, 5.1, 5.2), noise=1.0) is None
    assert growth.exponent((10, 40, 160), (5.0, 4.9, 7.2), noise=1.0) is None


@pytest.mark.exhaustive
def test_every_task_runs_in_small(tmp_path, capsys):
    growth.main(tmp_path / "growth.json", scale=0.01)
    found = json.loads((tmp_path / "growth.json").read_text())["tasks"]
    assert found.keys() == growth.TASKS.keys()
    assert capsys.readouterr().out.endswith((tmp_path / "growth.md").read_text())
