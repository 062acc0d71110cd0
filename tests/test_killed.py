"""Evaluations that share a directory and are killed at random moments give the rows of quiet ones, each once."""

import random
import signal
import time

import pytest
from environments import figures, start, write_set

SEEDS = tuple(range(8))
EPOCHS = ("--epochs", "20")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def start_all(place, seeds, instants, longest):
    """Processes by seed, each with the moment, so many seconds later at most, and the signal that end it."""
    for seed in seeds:
        time.sleep(instants.uniform(0, 0.5))
        process = start(place, place / "shared", *EPOCHS, "--save-minutes", "0", seeds=str(seed))
        yield seed, process, time.monotonic() + instants.uniform(1, longest), instants.choice(SIGNALS)


@pytest.mark.exhaustive
def test_eight_evaluations_killed_at_random_moments_end_with_the_rows_of_quiet_ones(tmp_path):
    write_set(tmp_path)
    began = time.monotonic()
    quiet = start(tmp_path, tmp_path / "quiet", *EPOCHS, seeds=" ".join(map(str, SEEDS)))
    _, error = quiet.communicate()
    assert quiet.returncode == 0, error.decode()
    longest = 4 * (time.monotonic() - began)
    instants, pending, kills = random.Random(29), set(SEEDS), 0
    while pending:
        started = list(start_all(tmp_path, sorted(pending), instants, longest))
        longest *= 1.5  # so that there is an end on a machine that does more than this
        for seed, process, moment, signal_number in started:
            while process.poll() is None and time.monotonic() < moment:
                time.sleep(0.05)
            if process.poll() is None:
                process.send_signal(signal_number)
                kills += 1
            process.communicate()
            if process.returncode == 0:
                pending.remove(seed)
    assert kills
    assert figures(tmp_path / "shared") == figures(tmp_path / "quiet")
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["results.jsonl"]
