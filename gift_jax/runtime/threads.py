"""Work in threads: JAX and Pillow let go of the interpreter while they compute."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def in_order(
    function: Callable[[Any, threading.Event], Any], items: Iterable[Any], workers: int
) -> Generator[Any, None, None]:
    """Yield function's answers in the order of items, so many of which are worked on at once.

    Args: function, of an item and an event that is set when its answer is not wanted any more, so that it should raise.
    At most 2 * workers answers wait to be taken.
    """
    stop, running = threading.Event(), deque[Future[Any]]()
    if workers == 1:
        yield from (function(item, stop) for item in items)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            running.append(pool.submit(function, item, stop))
            if len(running) == 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
