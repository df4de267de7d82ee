"""What becomes of one case: taken, one clear error, a traceback, or no end."""

import contextlib
import dataclasses
import enum
import io
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from t5x_lite import cli
from t5x_lite.errors import UserError

_SECONDS = 30
_MAX_MESSAGE = 20_000


class Outcome(enum.Enum):
    """How a case ended; the last two are defects."""

    TAKEN = "taken"
    CLEAR = "clear error"
    TRACEBACK = "traceback"
    HANG = "no end"


@dataclasses.dataclass(frozen=True)
class Result:
    """An outcome with what was said."""

    outcome: Outcome
    text: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether a user would know what to do."""
        return self.outcome in (Outcome.TAKEN, Outcome.CLEAR)


class _TooLongError(BaseException):
    """Past every `except Exception`."""


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def of_call(function: Callable[[], Any], *, seconds: float = _SECONDS) -> Result:
    """What a call of the library comes to."""
    try:
        with _limit(seconds):
            function()
    except _TooLongError:
        return Result(Outcome.HANG)
    except (UserError, OSError) as error:
        return Result(Outcome.CLEAR if str(error) else Outcome.TRACEBACK, str(error))
    except BaseException:
        return Result(Outcome.TRACEBACK, traceback.format_exc())
    return Result(Outcome.TAKEN)


def of_command(words: list[str], *, seconds: float = _SECONDS) -> Result:
    """What a command comes to; a clear error is one message and exit status 2."""
    said = io.StringIO()

    def run() -> None:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = cli.main(words)
        if status == 2:
            raise UserError(said.getvalue())
        assert status == 0, f"exit status {status}: {said.getvalue()}"

    result = of_call(run, seconds=seconds)
    is_message = result.text.startswith("t5x_lite: error: ") and len(result.text) < _MAX_MESSAGE
    if result.outcome is Outcome.CLEAR and not is_message:
        return Result(Outcome.TRACEBACK, result.text)
    return result
