"""What an arm is to the process that runs it."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

# The number that is compared; others are told beside it.
SECONDS = "seconds"
Numbers = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An arm that is ready: `run` does one repeat and gives its numbers, `SECONDS` among them.

    Attributes:
        facts: what holds for all repeats, as JSON.
        answer: what has to be alike in all arms, as JSON (`checks`).
    """

    run: Callable[[], Numbers]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    answer: Any = None


def timed(work: Callable[[], object]) -> Callable[[], Numbers]:
    """A repeat that takes as long as `work`, which waits for its result."""
    return lambda: {SECONDS: seconds_of(work)[0]}


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it gives."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def first_seconds(seconds: float) -> dict[str, float]:
    """The fact how long the first call took, compilation included."""
    return {"first_seconds": seconds}


def nothing() -> Numbers:
    """The repeat of what is only prepared."""
    return {SECONDS: 0.0}
