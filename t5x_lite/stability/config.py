"""When a step is unhealthy, and what follows (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import FINITE, MAX_COUNT, POSITIVE, check_bounds


class InstabilityPolicy(enum.Enum):
    """What follows a step whose loss or gradient is not finite, or whose loss leaps."""

    STOP = "stop"
    SKIP = "skip"
    ROLLBACK = "rollback"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """When a step is unhealthy, and what follows.

    It is if loss or gradient are not finite, or if the loss per token lies above its running mean
    by more than `spike_margin` nats and by more than `spike_deviations` standard deviations (None:
    spikes are let pass). Mean and deviation forget over `horizon` steps and count after
    `warmup_losses`. SKIP leaves the batch out and goes on; ROLLBACK goes on from the newest
    checkpoint and leaves out that batch and those before it, `skipped_batches` in all; either stops
    after `max_events`.
    """

    policy: InstabilityPolicy = InstabilityPolicy.STOP
    spike_deviations: float | None = 10.0
    spike_margin: float = 1.0
    warmup_losses: int = 100
    horizon: int = 100
    max_events: int = 20
    skipped_batches: int = 1

    def __post_init__(self) -> None:
        check_bounds(
            self,
            spike_deviations=(POSITIVE, FINITE),
            spike_margin=(0.0, FINITE),
            warmup_losses=(1, MAX_COUNT),
            horizon=(2, MAX_COUNT),
            max_events=(1, MAX_COUNT),
            skipped_batches=(1, MAX_COUNT),
        )
