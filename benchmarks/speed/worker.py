"""A process for each arm, which waits while others run: their threads would disturb each other.

Lines of JSON go in and out: first the arm, answered by its facts, then `null` for each repeat,
answered by its numbers. What libraries print goes into the log.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
from typing import Any, TextIO

from benchmarks.speed.arm import Numbers
from benchmarks.speed.settings import Settings
from benchmarks.speed.table import Arm
from t5x_lite.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_ERROR, _PREPARED, _NUMBERS = "error", "prepared", "numbers"
_KILOBYTE = 1024


class Worker:
    """The side of whoever asks. To be closed.

    Raises:
        UserError: what the arm cannot do with these settings.
        RuntimeError: its process ended; the log says why.
    """

    def __init__(self, name: str, arm: Arm, settings: Settings) -> None:
        self.name = name
        made_by = arm.function.rpartition(".")[2].replace(":", "_")
        self._log = pathlib.Path(settings.folder) / "logs" / f"{name}-{made_by}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.speed.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=_ROOT,
                env=_environment(settings.threads),
            )
        asked = {"arm": dataclasses.asdict(arm), "settings": dataclasses.asdict(settings)}
        prepared = self._ask(asked)[_PREPARED]
        self.facts, self.answer = prepared["facts"], prepared["answer"]

    def run(self) -> Numbers:
        """One repeat."""
        return self._ask(None)[_NUMBERS]

    def close(self) -> None:
        """Ends the process, at once."""
        self._process.terminate()
        self._process.communicate()

    def _ask(self, question: Any) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None, "both are pipes"
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        line = stdout.readline()
        answer = json.loads(line) if line else {}
        if not answer or _ERROR in answer:
            self._process.communicate()
        if not answer:
            status = self._process.returncode
            raise RuntimeError(f"{self.name} ended with status {status}: see {self._log}")
        if _ERROR in answer:
            raise UserError(answer[_ERROR])
        return answer


class FreshWorker:
    """A process for each repeat; nothing is prepared."""

    def __init__(self, name: str, arm: Arm, settings: Settings) -> None:
        self.name, self._arm, self._settings = name, arm, settings
        self.facts: dict[str, Any] = {}
        self.answer = None

    def run(self) -> Numbers:
        """One repeat."""
        with contextlib.closing(Worker(self.name, self._arm, self._settings)) as worker:
            return worker.facts

    def close(self) -> None:
        """Its processes have ended."""


def _environment(threads: int) -> dict[str, str]:
    """Nothing is asked of a hub, every library has as many threads, and what an earlier run has
    compiled is compiled anew.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"
    }
    return inherited | {
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
        "HF_HUB_OFFLINE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TOKENIZERS_PARALLELISM": "false",
    }


def serve(questions: TextIO, answers: TextIO) -> None:
    """The side of the arm, until nothing is asked any more."""

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    asked = json.loads(questions.readline())
    module, _, function = asked["arm"]["function"].partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
        prepared = make(Settings(**asked["settings"]), **asked["arm"]["options"])
    except UserError as error:
        answer({_ERROR: str(error)})
        return
    answer({_PREPARED: {"facts": prepared.facts, "answer": prepared.answer}})
    for _ in questions:
        cpu = time.process_time()
        numbers = prepared.run()
        beside = {"cpu_seconds": time.process_time() - cpu, "peak_memory_bytes": _peak_memory()}
        answer({_NUMBERS: beside | {**numbers}})


def _peak_memory() -> int:
    """Of the process, or of the largest that it has started."""
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(which).ru_maxrss for which in both) * _KILOBYTE


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, _answers)
