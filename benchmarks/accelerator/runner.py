"""Jobs one after the other, each in a process of its own, until the time is spent."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.accelerator.job import PEER, Job
from benchmarks.accelerator.results import Results

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of the time that a job takes where nothing goes wrong: then it hangs, or compiles for ever.
_PATIENCE = 3
# What asks for the next job, given what is known; None where nothing is left.
Ask = Callable[[Results], Job | None]
Say = Callable[[str], None]


def run(asks: Sequence[Ask], results: Results, budget: float, say: Say) -> None:
    """Has all measured that is not yet, and says what is not, and why.

    Each job is begun once; one that has brought nothing is left to the next start.

    Args:
        budget: seconds in all. A job that needs more than are left does not begin, and one that
            has begun is ended with them.
    """
    end = time.monotonic() + budget
    for ask in asks:
        begun: set[str] = set()
        while (job := ask(results)) is not None and job.name not in begun:
            begun.add(job.name)
            reason = _run(job, results, end - time.monotonic())
            said = json.dumps(results.found(job.name)) if reason is None else f"- {reason}"
            say(f"{job.name}: {said}")


def _run(job: Job, results: Results, left: float) -> str | None:
    """None for what was measured, else why it was not."""
    reason = reason_against(job, left)
    if reason is None:
        told = _told(job, results.path.parent, min(_PATIENCE * job.seconds, left))
        if "found" in told:
            results.add_found(job, told["card"], told["found"])
            return None
        reason = told["lacking"]
    results.add_lacking(job, reason)
    return reason


def reason_against(job: Job, left: float) -> str | None:
    """Why a job cannot begin with so many seconds left, if it cannot."""
    lacking = [name for name in job.packages if importlib.util.find_spec(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} not installed"
    if left < job.seconds:
        return f"skipped: it needs {job.seconds:.0f} s, {max(left, 0):.0f} s are left"
    return None


def _told(job: Job, folder: pathlib.Path, limit: float) -> dict[str, Any]:
    """What the process of a job says, or that it has ended or was ended without a word."""
    log = folder.absolute() / "logs" / f"{job.name.replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [job.function, json.dumps(dict(job.options)), json.dumps(job.anywhere)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.accelerator.process", *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=_ROOT,
            env=_environment(job, folder.absolute()),
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return {"lacking": f"ended after {limit:.0f} s"}
        finally:
            _end(process)
    if process.returncode or not said:
        return {"lacking": f"its process ended with status {process.returncode}: see {log.name}"}
    return json.loads(said)


def _end(process: subprocess.Popen) -> None:
    """Also what the process has started, such as compilers."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()


def _environment(job: Job, folder: pathlib.Path) -> dict[str, str]:
    """Nothing is asked of a hub, programs are compiled once for all turns of an arm, and JAX may
    take nearly all of the card, as PyTorch does; what is set already stays. JAX leaves the card
    alone beside PyTorch, and has a CPU to compare with.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if job.arm == PEER:
        platforms = "cpu"
    elif platforms and "cpu" not in platforms.split(","):
        platforms += ",cpu"
    ours = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return ours | os.environ | ({"JAX_PLATFORMS": platforms} if platforms else {})
