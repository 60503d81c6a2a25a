"""Compute side by side, and give out in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

# Further ones contend for Python's lock more than they compute.
_MOST_THREADS = 8


def usual_threads() -> int:
    """How many threads prepare pictures and batches: one for each core, at most eight."""
    return min(_MOST_THREADS, os.cpu_count() or 1)


def in_order(function: Callable, items: Iterable, threads: int | None = None) -> Iterator:
    """As `map`, a few items ahead in threads.

    Args:
        function: of an item; releases Python's lock while it works, as NumPy and Pillow do.
        items: taken one by one, never more than twice as many as threads ahead of what is read.
        threads: None takes `usual_threads`.
    """
    threads = threads or usual_threads()
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) >= 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
