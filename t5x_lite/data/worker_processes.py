"""A list of work that several processes share, one piece at a time, each process with a TensorFlow
of its own.

Workers hear of the end of the process that started them, however it ends, as their pipe closes.
What one of them fails with ends all.
"""

import collections
import contextlib
import dataclasses
import functools
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from multiprocessing import connection as mp_connection
from typing import Any, TypeAlias

from t5x_lite import errors
from t5x_lite.errors import UserError

Report: TypeAlias = Callable[[int], None]
Work: TypeAlias = Callable[[Any, Report], Any]


@dataclasses.dataclass(frozen=True)
class Told:
    """What a worker says of a piece: how much it has done since it last spoke, and at the end the
    result.
    """

    piece: Any
    count: int = 0
    is_done: bool = False
    result: Any = None


@dataclasses.dataclass(frozen=True)
class _Failed:
    """An error that is meant for the user, or the traceback of another one."""

    error: Exception | None
    trace: str


def work_through(
    pieces: Sequence[Any], work: Work, *, set_up: Callable[[], None], num_workers: int
) -> Generator[Told, None, None]:
    """Yields what workers tell until all is done; none is left when this ends.

    Args:
        work: a function of a module, as processes are started anew and not copied; so is `set_up`,
            which each calls once, before it imports what `work` needs.

    Raises:
        UserError: a worker was killed.
    """
    context = multiprocessing.get_context("spawn")
    waiting = collections.deque(pieces)
    pipes: list[mp_connection.Connection] = []
    processes = []
    try:
        for _ in range(min(num_workers, len(pieces))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, set_up), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
            ours.send((work, waiting.popleft()))
        while pipes:
            for pipe in mp_connection.wait(pipes):
                assert isinstance(pipe, mp_connection.Connection)
                told = _heard(pipe)
                yield told
                if told.is_done and waiting:
                    pipe.send((work, waiting.popleft()))
                elif told.is_done:
                    pipes.remove(pipe)
                    pipe.close()
    finally:
        for process in processes:
            process.kill()
            process.join()


def _heard(pipe: mp_connection.Connection) -> Told:
    try:
        told = pipe.recv()
    except (EOFError, ConnectionResetError):
        raise UserError(
            "A worker process was killed, perhaps because memory ran out: run the same command "
            "again, with a smaller --num_workers; what is finished stays."
        ) from None
    if not isinstance(told, _Failed):
        return told
    if told.error is not None:
        raise told.error
    raise RuntimeError(f"a worker process failed:\n{told.trace}")


def _serve(pipe: mp_connection.Connection, set_up: Callable[[], None]) -> None:
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            set_up()
            while True:
                work, piece = pipe.recv()
                result = work(piece, functools.partial(_report, pipe, piece))
                pipe.send(Told(piece, is_done=True, result=result))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            is_plain = errors.is_for_the_user(error)
            pipe.send(_Failed(error if is_plain else None, traceback.format_exc()))


def _report(pipe: mp_connection.Connection, piece: Any, count: int) -> None:
    pipe.send(Told(piece, count))
