"""Orbax, of which, when a read or write fails, its exception is all that is left."""

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import threading
import warnings
from collections.abc import Iterator

_LOCK = threading.Lock()
_REPLACED = contextlib.ExitStack()  # belongs to all threads: the first that is inside replaces, the last restores
_INSIDE: list[int] = []


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
    with _LOCK:
        if not _INSIDE:
            _replace()
        _INSIDE.append(threading.get_ident())
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.pop()
            if not _INSIDE:
                _REPLACED.close()


def _replace() -> None:
    # Orbax takes uvloop's where a loop is running already.
    makers = [importlib.import_module(name) for name in ("asyncio", "uvloop") if importlib.util.find_spec(name)]
    replacements = ((maker, "new_event_loop", _FinishingLoop) for maker in makers)
    for place, name, value in ((logging.getLogger("absl"), "disabled", True), *replacements):
        _REPLACED.callback(setattr, place, name, getattr(place, name))
        setattr(place, name, value)
    _REPLACED.enter_context(warnings.catch_warnings())
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
