"""Time spent training: what evaluations and saves take does not count as slow steps."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Seconds since the last lap, pauses left out."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def seconds(self) -> float:
        """Since the last lap."""
        return time.monotonic() - self._since

    def lap(self) -> None:
        """Starts from zero."""
        self._since = time.monotonic()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside is not counted. Wait for the devices first: steps still under way
        would become free of charge.
        """
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began
