"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

import contextlib
import contextvars
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int, str], None]
"""`(units done since the last call, status text)`."""
Part = Callable[[float], None]
"""`(share of the unit that is being worked on that is done)`."""

LINE_EVERY = 10.0  # seconds between lines in a log
_part: contextvars.ContextVar[Part | None] = contextvars.ContextVar("part", default=None)


@contextlib.contextmanager
def display(title: str, total: int, unit: str) -> Iterator[Advance]:
    """Show progress towards total units on standard error while the block runs.

    Yields: a function to call with the units done since the last call and a short status; with 0 after units that were
        done before, so that what follows is timed by itself.
    """
    console = Console(stderr=True)
    with _bar(console, title, total) if console.is_terminal else _lines(title, total, unit) as (advance, part):
        token = _part.set(part)
        try:
            yield advance
        finally:
            _part.reset(token)


def tell_part(share: float) -> None:
    """Tell the display that is open, if one is, which share of a unit is done, such as of an epoch by its batches."""
    if part := _part.get():
        part(share)


@contextlib.contextmanager
def listening(listener: Part) -> Iterator[None]:
    """Have a listener told of parts, too, while the block runs."""
    shown = _part.get()

    def part(share: float) -> None:
        if shown:
            shown(share)
        listener(share)

    token = _part.set(part)
    try:
        yield
    finally:
        _part.reset(token)


@contextlib.contextmanager
def _bar(console: Console, title: str, total: int) -> Iterator[tuple[Advance, Part]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    status_column = TextColumn("[dim]{task.fields[status]}")
    count = 0
    with Progress(*columns, TimeRemainingColumn(), status_column, console=console) as progress:
        task = progress.add_task(title, total=total, status="")

        def advance(done: int, status: str) -> None:
            nonlocal count
            count += done
            progress.update(task, completed=count, status=status)

        yield advance, lambda share: progress.update(task, completed=count + share)


@contextlib.contextmanager
def _lines(title: str, total: int, unit: str) -> Iterator[tuple[Advance, Part]]:
    start = last = time.monotonic()
    count, status = 0, ""
    # When the first call came, and with how many units: until then programs were compiled, or units were only counted.
    first: tuple[float, float] | None = None

    def show(done: float, text: str) -> None:
        nonlocal last, first
        now = time.monotonic()
        began, before = first = first or (now, done)
        if now - last >= LINE_EVERY or done == total:
            last = now
            per_unit = (now - began) / (done - before) if done > before else None
            left = "" if per_unit is None else f", about {duration(per_unit * (total - done))} left"
            shown = f"{title}: {text}/{total} {unit}, {duration(now - start)}{left}  {status}"
            print(shown, file=sys.stderr, flush=True)

    def advance(done: int, new: str) -> None:
        nonlocal count, status, first
        count, status = count + done, new
        if not done:
            first = None
            return
        show(count, str(count))

    yield advance, lambda share: show(count + share, f"{count + share:.1f}") if share < 1 else None


def duration(seconds: float) -> str:
    """A time in two or three digits: `0.84 s`, `95 s`, `14 min`, `3.2 h`."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
