"""The time that is left, in a log: by the rate since the first call, against a clock that is set."""

import re

from gift_jax.runtime import progress


def lines(calls, monkeypatch, capsys):
    """Seconds left of each line printed. Args: calls, (seconds, units) one after another, of 12 units."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with progress.display("students", 12, "epochs") as advance:
        for seconds, units in calls:
            now[0] += seconds
            advance(units, "")
    return [re.findall(r"about (\d+) s left", line) for line in capsys.readouterr().err.splitlines()]


def test_compilation_is_not_taken_for_the_rate(monkeypatch, capsys):
    assert lines([(60, 1), (2, 1), (2, 1), (18, 9)], monkeypatch, capsys) == [[], ["20"], ["18"], ["0"]]


def test_what_was_done_before_is_not_taken_for_the_rate(monkeypatch, capsys):
    assert lines([(1, 8), (30, 1), (30, 1)], monkeypatch, capsys) == [[], ["90"], ["60"]]
