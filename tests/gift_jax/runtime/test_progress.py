"""The time that is left, in a log: by the rate since the first call, against a clock that is set."""

import re

import pytest

from gift_jax.runtime import progress


def lines(calls, monkeypatch, capsys):
    """The time left of each line printed. Args: calls, (seconds, units) one after another, of 12 units."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with progress.display("students", 12, "epochs") as advance:
        for seconds, units in calls:
            now[0] += seconds
            advance(units, "")
    return [re.findall(r"about (\S+ \w+) left", line) for line in capsys.readouterr().err.splitlines()]


def test_compilation_and_what_was_done_before_are_not_taken_for_the_rate(monkeypatch, capsys):
    assert lines([(60, 1), (2, 1), (2, 1), (18, 9)], monkeypatch, capsys) == [[], ["20 s"], ["18 s"], ["0 s"]]
    assert lines([(1, 8), (30, 1), (30, 1)], monkeypatch, capsys) == [[], ["90 s"], ["60 s"]]


def test_what_was_done_before_is_not_timed_with_what_follows(monkeypatch, capsys):
    """An epoch that a checkpoint holds, one that is compiled, and others."""
    assert lines([(1, 1), (0, 0), (60, 1), (20, 1)], monkeypatch, capsys) == [[], [], ["3 min"]]


def test_parts_of_a_long_unit_are_told_with_the_time_that_is_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    progress.tell_part(0.5)  # nobody shows it
    with progress.display("teacher", 2, "epochs") as advance:
        for done in (1, 2, 3, 4):
            now[0] += 20
            progress.tell_part(done / 4)
        advance(1, "loss 1")
        now[0] += 20
        progress.tell_part(0.25)
    printed = capsys.readouterr().err.splitlines()
    shown = [line.split(", ")[:1] + re.findall(r"about (\d+ \w+) left", line) for line in printed]
    assert shown == [
        ["teacher: 0.2/2 epochs"], ["teacher: 0.5/2 epochs", "2 min"], ["teacher: 0.8/2 epochs", "2 min"],
        ["teacher: 1/2 epochs", "80 s"], ["teacher: 1.2/2 epochs", "60 s"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 s"), (0.84, "0.84 s"), (9.94, "9.9 s"), (95, "95 s"), (99.7, "100 s"), (840, "14 min"),
     (5999, "100 min"), (11520, "3.2 h")],
)  # fmt: skip
def test_durations_have_two_or_three_digits(seconds, text):
    assert progress.duration(seconds) == text
