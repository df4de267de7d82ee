"""Errors that the command line has more to say about (no JAX, so that it can know them)."""

from collections.abc import Sequence

from t5x_lite.errors import UserError

_SHOWN = 5


class DamagedError(UserError):
    """A checkpoint is not what was written; `problems` says what is wrong, one by one."""

    def __init__(self, checkpoint: object, problems: Sequence[str], rest: str = ""):
        super().__init__(
            f"the checkpoint {checkpoint} is damaged: {listed(problems)}. Restore it from a copy"
            f"{rest or ', or use another'}."
        )
        self.problems = list(problems)


def listed(problems: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return ", ".join(problems[:_SHOWN]) + more


class ModelMismatchError(UserError):
    """A job's model is not that of its checkpoint; `stored_model` is the checkpoint's, as JSON.

    Who knows the gin files can add the one that fits.
    """

    def __init__(self, message: str, stored_model: dict):
        super().__init__(message)
        self.stored_model = stored_model
