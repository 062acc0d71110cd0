"""Ctrl-C while a command's modules are imported, and while it runs."""

import signal


def end_on_interrupt() -> None:
    """Let Ctrl-C end the process without a traceback, until `raise_on_interrupt`; what ignores it still does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, if `end_on_interrupt` changed that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
