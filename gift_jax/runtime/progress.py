"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int, str], None]
"""`(units done since the last call, status text)`."""

LINE_EVERY = 10.0  # seconds between lines in a log


@contextlib.contextmanager
def display(title: str, total: int, unit: str) -> Iterator[Advance]:
    """Show progress towards total units on standard error while the block runs.

    Yields: a function to call with the units done since the last call and a short status.
    """
    console = Console(stderr=True)
    with _bar(console, title, total) if console.is_terminal else _lines(title, total, unit) as advance:
        yield advance


@contextlib.contextmanager
def _bar(console: Console, title: str, total: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    status_column = TextColumn("[dim]{task.fields[status]}")
    with Progress(*columns, TimeRemainingColumn(), status_column, console=console) as progress:
        task = progress.add_task(title, total=total, status="")
        yield lambda done, status: progress.update(task, advance=done, status=status)


@contextlib.contextmanager
def _lines(title: str, total: int, unit: str) -> Iterator[Advance]:
    start = last = time.monotonic()
    count = 0
    first: tuple[float, int] | None = None  # when the first call came, and with how many units

    def advance(done: int, status: str) -> None:
        nonlocal last, count, first
        count += done
        now = time.monotonic()
        if now - last >= LINE_EVERY or count == total:
            last = now
            left = _left(first, (now, count), total)
            line = f"{title}: {count}/{total} {unit}, {now - start:.0f} s{left}  {status}"
            print(line, file=sys.stderr, flush=True)
        first = first or (now, count)

    yield advance


def _left(first: tuple[float, int] | None, now: tuple[float, int], total: int) -> str:
    """The time that is left, by the rate since the first call.

    Until then programs were compiled, or units were done before that are only counted.
    """
    if first is None:
        return ""
    (began, before), (seconds, count) = first, now
    return f", about {(seconds - began) * (total - count) / max(count - before, 1):.0f} s left"
