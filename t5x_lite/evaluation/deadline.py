"""A moment up to which something may be computed, and by whose clock."""

import dataclasses
import math
import time
from collections.abc import Callable

Clock = Callable[[], float | int]


@dataclasses.dataclass(frozen=True)
class Deadline:
    """`at` is a reading of the clock, in seconds."""

    at: float | int
    clock: Clock = time.monotonic

    @property
    def left(self) -> float | int:
        """Seconds, below 0 when it is over."""
        return self.at - self.clock()

    def share(self, of: int) -> "Deadline":
        """Its next part, if `of` things still have to be done in equal times."""
        now = self.clock()
        return dataclasses.replace(self, at=now + max(self.at - now, 0.0) / of)


NEVER = Deadline(math.inf)


def within(seconds: float | int, clock: Clock = time.monotonic) -> Deadline:
    """A deadline that many seconds from now."""
    return Deadline(clock() + seconds, clock)
