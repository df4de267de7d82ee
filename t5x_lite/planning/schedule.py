"""Which communication a schedule hides behind computation, and which the chip waits for."""

import dataclasses
from collections.abc import Callable, Mapping

from t5x_lite.planning.collectives import Collective


@dataclasses.dataclass(frozen=True)
class Speeds:
    """A machine, per chip; `seconds_of` one execution of a collective."""

    flops_per_second: float
    hbm_bytes_per_second: float
    seconds_of: Callable[[Collective], float]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Seconds of one execution of the program; their sum is `step_seconds`.

    Attributes:
        compute_seconds: the instructions at the roofline, and waiting for copies within the chip.
        exposed_collective_seconds: communication that nothing hides.
        hidden_collective_seconds: communication behind computation; no part of the step's time.
        exposed: instruction name of each collective -> its exposed seconds, trips counted.
    """

    compute_seconds: float
    exposed_collective_seconds: float
    hidden_collective_seconds: float
    exposed: Mapping[str, float]

    @property
    def step_seconds(self) -> float:
        """An estimate of the time of one execution."""
        return self.compute_seconds + self.exposed_collective_seconds
