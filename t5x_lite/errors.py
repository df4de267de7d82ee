"""Errors that are meant for users, whose message says it all, and what is shown of the others."""

import contextlib
from collections.abc import Iterator

OUT_OF_MEMORY = (
    "it does not fit into memory: lower BATCH_SIZE or lengths, or raise NUM_MICROBATCHES "
    "(training) or NUM_PARTITIONS (more devices share the model)"
)


class UserError(ValueError):
    """Something that the user gave cannot be used. The message says what was given, what is needed
    and how to fix it, so a command shows it in one line, without a traceback, and exits with 2.

    Any other error, files and the network aside, is a bug, ours or of a user's own task, and keeps
    its traceback.
    """


class UsageError(UserError):
    """A command line that cannot be understood."""


# What was raised within a library that shows it as an error of its own, or not at once.
_kept: list[Exception] = []


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keeps what is raised and meant for users, for `behind` and `raise_kept`: tf.data, which calls
    Python, raises another error, whose message is a traceback.
    """
    try:
        yield
    except Exception as error:
        if not is_for_the_user(error):
            raise
        _kept[:] = [error]
        # TensorFlow writes it to stderr with all of its traceback.
        raise UserError(message(error)) from None


def behind(error: Exception) -> Exception:
    """The error meant for users that a library shows as `error`; else that error."""
    if _kept and message(_kept[0]) in str(error):
        return _kept.pop()
    return error


def raise_kept() -> None:
    """Raises what was kept and nobody was told."""
    if _kept:
        raise _kept.pop()


def forget() -> None:
    """What was kept concerns nobody any more."""
    _kept.clear()


def is_for_the_user(error: Exception) -> bool:
    """Whether a message says it all: meant for users, or about a file or the network."""
    return isinstance(error, (UserError, OSError))


def is_out_of_memory(error: Exception) -> bool:
    """Whether host or devices had not the memory that was asked for; JAX may not be imported."""
    return isinstance(error, MemoryError) or (
        type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error)
    )


def message(error: Exception) -> str:
    """What to show of an error; that of a KeyError without the quotes Python adds."""
    if type(error) is KeyError and len(error.args) == 1:
        return str(error.args[0])
    return str(error) or type(error).__name__
