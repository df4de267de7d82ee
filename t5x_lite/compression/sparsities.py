"""Which share of the weights is 0 after which step of a run; numbers of the host, exact."""

from collections.abc import Callable, Mapping

from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.errors import UserError

# The step of the run after which a share of the weights is 0, and the share; steps grow.
Updates = list[tuple[int, float]]


def updates(config: PruningConfig) -> Updates:
    """All that a run prunes, from its first update to its last; nothing for a pattern that is
    locked.

    >>> updates(PruningConfig(sparsity=0.9, end_step=30, update_period=10))[-1]
    (30, 0.9)
    """
    return _UPDATES[config.method](config)


def share_after(config: PruningConfig, step: int) -> float:
    """The share that the schedule wants to be 0 after a step of the run."""
    return max((share for first, share in updates(config) if first <= step), default=0.0)


def check_length(config: PruningConfig, steps: int) -> None:
    """Refuses a run of so many steps if it ends before its pruning does.

    Raises:
        UserError: with both numbers.
    """
    last = max((step for step, _ in updates(config)), default=0)
    if last > steps:
        raise UserError(
            f"pruning reaches sparsity={config.sparsity} after step {last:,} of the run, which has "
            f"{steps:,}: needed is an end within it, --gin.PRUNING_END=... with "
            "--gin.PRUNING_PERIOD=..., or a longer run."
        )


def _gradual(config: PruningConfig) -> Updates:
    begin, end, final = config.begin_step, config.end_step, config.final_share
    assert end is not None, "PruningConfig has checked it"
    times = range(begin, end, config.update_period)
    rising = [(time, final * (1 - (1 - (time - begin) / (end - begin)) ** 3)) for time in times]
    return [*rising, (end, final)]


def _one_shot(config: PruningConfig) -> Updates:
    return [(config.begin_step + 1, config.final_share)]


_UPDATES: Mapping[PruningMethod, Callable[[PruningConfig], Updates]] = {
    PruningMethod.GRADUAL: _gradual,
    PruningMethod.ONE_SHOT: _one_shot,
    PruningMethod.LOCKED: lambda config: [],
}
