"""Seconds of work that runs on without being waited for: what is waited for is its end."""

import time
from collections.abc import Callable


def seconds_each(work: Callable[[], object], wait: Callable[[], object], count: int) -> float:
    """In the mean of `count` calls that are begun one behind the other."""
    began = time.perf_counter()
    for _ in range(count):
        work()
    wait()
    return (time.perf_counter() - began) / count


def windows(
    work: Callable[[], object], wait: Callable[[], object], *, count: int, repeats: int
) -> list[float]:
    """The same, several times over."""
    return [seconds_each(work, wait, count) for _ in range(repeats)]
