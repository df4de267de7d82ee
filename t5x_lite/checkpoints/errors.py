"""Errors that the command line has more to say about (no JAX, so that it can know them)."""

from t5x_lite.errors import UserError


class ModelMismatchError(UserError):
    """A job's model is not that of its checkpoint; `stored_model` is the checkpoint's, as JSON.

    Who knows the gin files can add the one that fits.
    """

    def __init__(self, message: str, stored_model: dict):
        super().__init__(message)
        self.stored_model = stored_model
