"""Tasks -> processes. A task is a function of a number that leaves files, so that any engine can
run it, in any order and again.

Python's own pool of processes does. datatrove's local executor, whose SLURM and Ray ones run the
same functions, waits for ever when a process is killed, and leaves one behind when it is killed
itself; Apache Beam cannot be installed beside our lock.
"""

import concurrent.futures
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from rich import console as rich_console
from rich import progress as rich_progress

from t5x_lite.errors import UserError

# Outside a terminal a line is a log entry.
_SECONDS_BETWEEN_LINES = 10.0
_PRELOADED = ["t5x_lite.corpus.stages", "nltk.tokenize.punkt"]
# (number of the task) -> None
Task = Callable[[int], None]


class Engine:
    """Runs tasks in so many processes, or in this one."""

    def __init__(self, workers: int):
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        if workers > 1:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(_PRELOADED)
            self._pool = concurrent.futures.ProcessPoolExecutor(
                workers, mp_context=context, initializer=_end_with_parent
            )

    def run(self, task: Task, numbers: Iterable[int]) -> Iterator[int]:
        """Runs a task for each number; those that are done as they are done.

        Raises:
            UserError: a process was killed. What a task raises is raised here.
        """
        if self._pool is None:
            for number in numbers:
                task(number)
                yield number
            return
        futures = {self._pool.submit(task, number): number for number in numbers}
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield futures[future]
        except BrokenProcessPool:
            raise UserError(
                "a worker was killed, perhaps for memory: the same command goes on where it was; "
                "fewer --workers need less memory."
            ) from None
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Ends the processes, after the tasks that they are at."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this worker when who started it is killed; it would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end with parent", daemon=True).start()


@contextmanager
def engine(workers: int) -> Iterator[Engine]:
    """One that is closed in any case."""
    made = Engine(workers)
    try:
        yield made
    finally:
        made.close()


class Progress:
    """Which step a build is at, and how many tasks of it are done: a line that lives in a terminal,
    a few lines elsewhere.
    """

    def __init__(self) -> None:
        self._terminal = rich_console.Console(stderr=True)
        self._bar: rich_progress.Progress | None = None
        self._printed = time.monotonic()

    @contextmanager
    def step(self, label: str, total: int, done: int) -> Iterator[Callable[[], None]]:
        """Inside, each call says that one more task is done."""
        count = done
        if self._terminal.is_terminal:
            columns = (
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(),
                rich_progress.MofNCompleteColumn(),
                rich_progress.TimeElapsedColumn(),
                rich_progress.TimeRemainingColumn(),
            )
            with rich_progress.Progress(*columns, console=self._terminal, transient=True) as bar:
                shown = bar.add_task(label, total=total, completed=done)
                yield lambda: bar.advance(shown)
            return

        def advance() -> None:
            nonlocal count
            count += 1
            now = time.monotonic()
            if count == total or now - self._printed >= _SECONDS_BETWEEN_LINES:
                self._printed = now
                self._terminal.print(f"{label} {count}/{total}", highlight=False, soft_wrap=True)

        yield advance
