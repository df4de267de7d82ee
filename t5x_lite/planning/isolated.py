"""A function in a process of its own: a compiler that crashes takes only that with it.

The caller starts no backend of JAX, and what its own was told does not matter there.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

from t5x_lite.errors import UserError

Result = TypeVar("Result")

_LAST_CHARACTERS = 4000


class CrashError(UserError):
    """The process ended without an answer; the message says how."""


def call(function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(*arguments)`, of a module that can be imported and of values that can be pickled.

    Raises:
        CrashError: it did not come to an end, as a compiler that was ended by a signal.
        Exception: whatever the function raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = os.path.join(folder, "asked"), os.path.join(folder, "answer")
        with open(asked, "wb") as file:
            pickle.dump((function, arguments), file)
        done = subprocess.run(
            [sys.executable, "-m", __name__, asked, answer],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if not os.path.exists(answer):
            raise CrashError(_ending(done.returncode, done.stdout))
        with open(answer, "rb") as file:
            result, error = pickle.load(file)
    if error is not None:
        raise error
    return result


def _ending(status: int, output: str) -> str:
    """How a process ended, with the line of its stack that says most."""
    if status < 0:
        where = next((line for line in output.splitlines() if line.startswith("PC:")), "")
        at = f" in {where.split()[-1]}" if where else ""
        return f"signal {-status} ({signal.Signals(-status).name}){at}"
    return f"exit status {status}: {output.strip()[-_LAST_CHARACTERS:]}"


def _answer(asked: str, answer: str) -> None:
    with open(asked, "rb") as file:
        function, arguments = pickle.load(file)
    result, raised = None, None
    try:
        result = function(*arguments)
    except Exception as error:
        raised = error
    part = f"{answer}.part"
    with open(part, "wb") as file:
        pickle.dump((result, raised), file)
    os.replace(part, answer)


if __name__ == "__main__":
    _answer(*sys.argv[1:])
