"""Why a training job leaves its loop before its last step (no JAX)."""


class Unhealthy(RuntimeError):
    """A step was not sound, and going on was not asked for; the message says what to do."""

    exit_status = 3


class Interrupted(RuntimeError):
    """The job was asked to stop, and its newest state is on disk; the message says how to go on."""

    # EX_TEMPFAIL of sysexits.h: try the same again.
    exit_status = 75


class RollBack(Exception):
    """The run goes on from its newest checkpoint; the message says why."""


class StopAsked(Exception):
    """An evaluation breaks off, because the run has to stop; the loop saves what it has."""
