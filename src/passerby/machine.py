"""What this machine gives the process: cores, and threads to share work out to."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import TypeVar

__all__ = ["available_cores", "in_threads"]

_T = TypeVar("_T")


def available_cores() -> int:
    """Processor cores that this process may use: those of its affinity where the system knows one, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[int, int], _T], count: int, threads: int) -> list[_T]:
    """Run ``work(start, stop)`` over even slices of `count` items at once, the last in the calling thread; results in order.

    The threads stay for the next call: work of a tenth of a millisecond is worth sharing. They help only work that lets go of
    Python's lock, such as compiled loops, and it must not call this function itself.

    Args:
        work: called with start and stop; once, with 0 and 0, where there are no items.
        count: items.
        threads: slices, no more than there are items and cores.
    """
    parts = max(1, min(threads, count, available_cores()))
    *others, own = pairwise(count * part // parts for part in range(parts + 1))
    waiting = [_threads().submit(work, start, stop) for start, stop in others]
    try:
        last = work(*own)
    finally:
        wait(waiting)  # nobody writes any more when this ends
    return [*(each.result() for each in waiting), last]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, available_cores() - 1), thread_name_prefix="share")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a child process has none of its parent's threads
