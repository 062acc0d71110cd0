"""Ctrl-C before and while a command runs."""

import signal

import pytest

from gift_jax.runtime.interrupts import end_on_interrupt, raise_on_interrupt


@pytest.mark.parametrize(
    ("before", "imported"),
    [(signal.default_int_handler, signal.SIG_DFL), (signal.SIG_IGN, signal.SIG_IGN), (print, print)],
)
def test_python_s_own_handler_alone_is_changed_and_comes_back(before, imported):
    own = signal.signal(signal.SIGINT, before)
    try:
        end_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is imported
        raise_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, own)
