"""Why a training job leaves its loop before its last step (no JAX)."""


class Interrupted(RuntimeError):
    """The job was asked to stop, and its newest state is on disk; the message says how to go on."""

    # EX_TEMPFAIL of sysexits.h: try the same again.
    exit_status = 75


class StopAsked(Exception):
    """An evaluation breaks off, because the run has to stop; the loop saves what it has."""
