"""Why a run does not go on from a step that was not sound (no JAX)."""


class Unhealthy(RuntimeError):
    """A step was not sound, and going on was not asked for; the message says what to do."""

    exit_status = 3


class RollBack(Exception):
    """The run goes on from its newest checkpoint; the message says why."""
