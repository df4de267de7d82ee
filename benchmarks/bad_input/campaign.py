"""Many cases of one kind in a process of its own, which may die of one."""

import collections
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
from typing import Any

import hypothesis

from benchmarks.bad_input import kinds
from benchmarks.bad_input.outcomes import Outcome, Result

_SHOWN = 5


def in_a_process(
    name: str, cases: int, seed: int, folder: pathlib.Path
) -> tuple[dict[Outcome, int], list[str]]:
    """Counts of outcomes, and the first defects; a process that died is one."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    log = folder / "last_case"
    child = context.Process(target=_try_all, args=(name, cases, seed, folder, log, sender))
    child.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        found = {Outcome.TRACEBACK: 1}, [f"{name}: the process died of {log.read_text()}"]
    child.join()
    return found


def _try_all(
    name: str, cases: int, seed: int, folder: pathlib.Path, log: pathlib.Path, sender: Any
) -> None:
    # What libraries write beside our own output.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    materials = pathlib.Path(tempfile.mkdtemp(dir=folder))
    (kind,) = (kind for kind in kinds.every(materials) if kind.name == name)
    counts: collections.Counter[Outcome] = collections.Counter()
    defects: list[str] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=kind.cases)
    def attempt(case: Any) -> None:
        log.write_text(repr(case)[:5000], errors="backslashreplace")
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        result = kind.attempt(case, place)
        shutil.rmtree(place, ignore_errors=True)
        counts[result.outcome] += 1
        if not result.is_fine and len(defects) < _SHOWN:
            defects.append(_shown(kind.name, case, result))

    attempt()
    sender.send((dict(counts), defects))


def _shown(name: str, case: Any, result: Result) -> str:
    return f"\n{name}, {result.outcome.value}: {repr(case)[:1000]}\n{result.text[-3000:]}"
