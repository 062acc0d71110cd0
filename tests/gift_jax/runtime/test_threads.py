"""Work in threads: order, failures, and an end in good time."""

import threading
import time

import pytest

from gift_jax.runtime.compiling import cached_factory
from gift_jax.runtime.threads import in_order


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_answers_come_in_the_order_of_the_items(workers):
    def later_first(item, stop):
        time.sleep(0.01 * (5 - item))
        return item * item

    assert list(in_order(later_first, range(5), workers)) == [0, 1, 4, 9, 16]


def test_so_many_are_worked_on_at_once():
    meeting = threading.Barrier(3, timeout=10)
    assert list(in_order(lambda item, stop: meeting.wait() >= 0, range(3), 3)) == [True] * 3


def test_a_failure_stops_the_others():
    stopped = []

    def work(item, stop):
        if item == 0:
            raise ZeroDivisionError
        stopped.append(stop.wait(10))

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, range(40), 2))
    assert all(stopped)
    assert len(stopped) < 40


def test_nothing_goes_on_after_the_caller_stopped():
    stopped, started = [], threading.Event()

    def work(item, stop):
        if item == 0:
            return started.wait(10)
        started.set()
        stopped.append(stop.wait(10))
        return None

    answers = in_order(work, range(40), 2)
    assert next(answers)
    answers.close()
    assert stopped
    assert all(stopped)


def test_threads_share_what_one_of_them_makes():
    made = []

    @cached_factory
    def make(name):
        time.sleep(0.05)
        made.append(name)
        return object()

    found = list(in_order(lambda item, stop: make("one"), range(4), 4))
    assert len(made) == 1
    assert all(each is found[0] for each in found)
