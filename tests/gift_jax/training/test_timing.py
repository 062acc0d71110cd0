"""The time that is said after the first epochs, against a clock that is set."""

import pytest

from gift_jax.recipes.recipe import Recipe
from gift_jax.training import timing

COMPILATION = 60.0


@pytest.fixture
def tell(monkeypatch, capsys):
    """Lines printed in a run whose epochs and evaluations take so many seconds, the first of each a minute more.

    Each with the seconds that were left when it was printed.
    """

    def tell(epochs, students, epoch, evaluation):
        now, advanced, printed = [100.0], [], []
        monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
        recipe = Recipe(epochs=epochs)
        estimate = timing.Estimate(lambda done, status: advanced.append((done, status)), recipe, students)
        looked = False
        for student in range(students):
            for number in range(1, epochs + 1):
                now[0] += epoch + (COMPILATION if (student, number) == (0, 1) else 0)
                estimate(1, f"epoch {number}")
                printed += [(line, now[0]) for line in capsys.readouterr().out.splitlines()]
                if recipe.is_evaluated(number):
                    now[0] += evaluation + (0 if looked else COMPILATION)
                    looked = True
        assert advanced == [(1, f"epoch {number}") for _ in range(students) for number in range(1, epochs + 1)]
        return [(line, round(now[0] - when, 1)) for line, when in printed]

    return tell


def test_what_is_left_is_told_without_compilation_and_then_with_evaluations(tell):
    """The first line knows of no evaluation: 12 of 21 s and their compilation, and the second one of all."""
    first, second = tell(300, 3, 0.84, 21)
    text = "time: 0.84 s an epoch, about 13 min left for 3 students of 300 epochs, evaluations not counted"
    assert first == (text, pytest.approx(898 * 0.84 + 12 * 21 + COMPILATION, abs=0.1))
    text = "time: 0.84 s an epoch and 21 s an evaluation, about 14 min left for 3 students of 300 epochs"
    assert second == (text, pytest.approx(749 * 0.84 + 10 * 21, abs=0.1))


def test_a_run_that_goes_on_and_students_side_by_side(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    estimate = timing.Estimate(lambda done, status: None, Recipe(epochs=300), 6, side_by_side=3)
    for done, seconds in ((3 * 30, 1.0), (3, 60.0), (3, 2.0), (3, 2.0)):
        now[0] += seconds
        estimate(done, "")
    assert capsys.readouterr().out.splitlines() == [
        "time: 2.0 s an epoch, about 19 min left for 6 students of 300 epochs, evaluations not counted"
    ]


def test_an_epoch_that_a_checkpoint_holds_is_not_the_one_in_which_the_step_is_compiled(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    estimate = timing.Estimate(lambda done, status: None, Recipe(epochs=300), 1)
    for done, seconds in ((1, 1.0), (0, 0.0), (1, 60.0), (1, 2.0)):
        now[0] += seconds
        estimate(done, "")
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("time: 2.0 s an epoch, about 10 min left")


def test_where_every_epoch_is_evaluated_they_count_together(tell):
    """The first such epoch is left out too: its evaluation is compiled."""
    assert tell(4, 1, 2.0, 3.0) == [("time: 5.0 s an epoch with its evaluation, about 5.0 s left for 4 epochs", 8.0)]


def test_a_single_epoch_tells_nothing_since_the_step_was_compiled_in_it(tell):
    assert tell(1, 1, 2.0, 3.0) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (0.84, "0.84 s"), (9.94, "9.9 s"), (95, "95 s"), (99.7, "100 s"), (840, "14 min"),
     (5999, "100 min"), (11520, "3.2 h")],
)  # fmt: skip
def test_durations_have_two_or_three_digits(seconds, text):
    assert timing.duration(seconds) == text
