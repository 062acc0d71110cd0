"""The time that is said after the first epochs, against a clock that is set."""

import pytest

from gift_jax.recipes.recipe import Recipe
from gift_jax.training import timing


@pytest.fixture
def tell(monkeypatch, capsys):
    """The lines printed in a run whose epochs and evaluations take so many seconds, the first ones more."""

    def tell(epochs, students, epoch, evaluation):
        now, advanced = [100.0], []
        monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
        recipe = Recipe(epochs=epochs)
        estimate = timing.Estimate(lambda done, status: advanced.append((done, status)), recipe, students)
        for student in range(students):
            for number in range(1, epochs + 1):
                now[0] += epoch + (60 if (student, number) == (0, 1) else 0)
                estimate(1, f"epoch {number}")
                now[0] += evaluation if recipe.is_evaluated(number) else 0
        assert advanced == [(1, f"epoch {number}") for _ in range(students) for number in range(1, epochs + 1)]
        return capsys.readouterr().out.splitlines()

    return tell


def test_epochs_are_told_without_compilation_and_then_with_evaluations(tell):
    assert tell(300, 3, 0.84, 21) == [
        "time: 0.84 s an epoch, about 13 min for 3 students of 300 epochs, evaluations not counted",
        "time: 0.84 s an epoch and 21 s an evaluation, about 17 min for 3 students of 300 epochs",
    ]


def test_a_run_that_goes_on_and_students_side_by_side(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    estimate = timing.Estimate(lambda done, status: None, Recipe(epochs=300), 6, side_by_side=3)
    for done, seconds in ((3 * 30, 1.0), (3, 60.0), (3, 2.0), (3, 2.0)):
        now[0] += seconds
        estimate(done, "")
    assert capsys.readouterr().out.splitlines() == [
        "time: 2.0 s an epoch, about 20 min for 6 students of 300 epochs, evaluations not counted"
    ]


def test_where_every_epoch_is_evaluated_they_count_together(tell):
    assert tell(4, 1, 2.0, 3.0) == ["time: 5.0 s an epoch with its evaluation, about 20 s for 1 student of 4 epochs"]


def test_a_single_epoch_tells_nothing_since_the_step_was_compiled_in_it(tell):
    assert tell(1, 3, 2.0, 3.0) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (0.84, "0.84 s"), (9.94, "9.9 s"), (95, "95 s"), (99.7, "100 s"), (840, "14 min"),
     (5999, "100 min"), (11520, "3.2 h")],
)  # fmt: skip
def test_durations_have_two_or_three_digits(seconds, text):
    assert timing.duration(seconds) == text
