"""Ctrl-C before and while a command runs."""

import signal

import pytest

from gift_jax.runtime.interrupts import end_on_interrupt, raise_on_interrupt


@pytest.fixture
def handler_after():
    """What handles SIGINT after some calls, if a handler did before; the test's own handler is put back."""
    own = signal.getsignal(signal.SIGINT)

    def after(before, *calls):
        signal.signal(signal.SIGINT, before)
        for call in calls:
            call()
        return signal.getsignal(signal.SIGINT)

    yield after
    signal.signal(signal.SIGINT, own)


@pytest.mark.parametrize(
    ("before", "imported", "running"),
    [
        (signal.default_int_handler, signal.SIG_DFL, signal.default_int_handler),
        (signal.SIG_IGN, signal.SIG_IGN, signal.SIG_IGN),
        (print, print, print),
    ],
)
def test_python_s_own_handler_alone_is_changed_and_comes_back(before, imported, running, handler_after):
    assert handler_after(before, end_on_interrupt) is imported
    assert handler_after(before, end_on_interrupt, raise_on_interrupt) is running
