"""Orbax, of which, when a read or write fails, its exception is all that is left."""

import asyncio
import contextlib
import importlib.util
import logging
import threading
import warnings
from collections.abc import Iterator
from unittest import mock

_ONE_AT_A_TIME = threading.RLock()  # what is replaced below belongs to all threads


class _FinishingLoop(asyncio.SelectorEventLoop):
    """A loop that lets its tasks end before it closes, without a word."""

    def close(self) -> None:
        while not self.is_closed() and (unfinished := asyncio.all_tasks(self)):
            self.run_until_complete(asyncio.gather(*unfinished, return_exceptions=True))
        super().close()

    def call_exception_handler(self, context: object) -> None:
        """Nothing: of tasks that failed beside the one whose exception is raised, nobody need hear."""


@contextlib.contextmanager
def quiet_orbax() -> Iterator[None]:
    """Inside, Orbax logs and warns of nothing, and the event loops that it makes finish their tasks.

    Orbax reads and writes all arrays at once and closes its loop at the first that fails. The others would then end on
    a closed loop or be collected half way, and Python would print a traceback for each, at any later time.
    """
    makers = ["asyncio.new_event_loop"]
    if importlib.util.find_spec("uvloop"):  # which Orbax takes where a loop is running already
        makers.append("uvloop.new_event_loop")
    with _ONE_AT_A_TIME, contextlib.ExitStack() as replaced:
        replaced.enter_context(mock.patch.object(logging.getLogger("absl"), "disabled", True))
        replaced.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        for maker in makers:
            replaced.enter_context(mock.patch(maker, _FinishingLoop))
        yield
