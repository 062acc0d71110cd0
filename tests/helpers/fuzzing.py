"""Damaged files by the thousand: how they are damaged, and the watch over what reads them."""

import os
import signal
import sys
import time

import hypothesis
from hypothesis import strategies as st

from gift_jax import GiftError

LONGEST = 20  # s; loading takes milliseconds
# What a file must never make a reader do.
FORBIDDEN = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"}
watching, seen = [False], []


def audit(event, arguments):
    if watching[0] and event in FORBIDDEN:
        seen.append((event, arguments))


sys.addaudithook(audit)


class Payload:
    """What a malicious pickle does: it runs a command when it is loaded."""

    def __init__(self, command="true"):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def settings(examples):
    return hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


# A change to bytes: what is done, where (a share of the length, near the ends more often), and with what.
PLACES = st.one_of(st.floats(0, 1), st.floats(0, 0.05), st.floats(0.9, 1))
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "truncate", "repeat", "flip"]),
        PLACES,
        st.one_of(
            st.binary(min_size=1, max_size=8), st.sampled_from([b"\x00" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7])
        ),
    ),
    min_size=1,
    max_size=3,
)
CHANGES = {
    "replace": lambda data, at, new: data[:at] + new + data[at + len(new) :],
    "insert": lambda data, at, new: data[:at] + new + data[at:],
    "delete": lambda data, at, new: data[:at] + data[at + 16 * len(new) :],
    "truncate": lambda data, at, new: data[:at],
    "repeat": lambda data, at, new: data[:at] + data[max(0, at - 64) :],
    "flip": lambda data, at, new: (
        data[:at] + bytes(byte ^ 1 << new[0] % 8 for byte in data[at : at + 1]) + data[at + 1 :]
    ),
}


def mutate(data, mutations):
    for kind, place, new in mutations:
        data = CHANGES[kind](data, int(place * len(data)), new)
    return data


def loads_or_is_refused(load):
    """Run load; returns its result, or None after a GiftError of one line. Anything else is a failure."""

    def too_long(number, frame):
        raise TimeoutError(f"still loading after {LONGEST} s")

    previous = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST)
    watching[0], start = True, time.monotonic()
    message = ""
    try:
        return load()
    except GiftError as error:
        message = str(error)
        return None
    finally:
        watching[0] = False
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
        assert seen == []
        assert "\n" not in message
        assert len(message) < 1000
        assert time.monotonic() - start < LONGEST


def of_mutants(path, load, examples):
    """What loading gives of so many mutants of a file, None where it is refused."""
    whole, found = path.read_bytes(), []

    @settings(examples)
    @hypothesis.given(MUTATIONS)
    def check(mutations):
        path.unlink()
        path.write_bytes(mutate(whole, mutations))
        found.append(loads_or_is_refused(load))

    check()
    return found
