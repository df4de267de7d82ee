"""From the start of a process to the end of its first step: our command, and a script of peers."""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.speed.arm import SECONDS, Numbers, Prepared
from benchmarks.speed.settings import Settings
from t5x_lite.text.huggingface_files import SENTENCEPIECE

# What `t5x_lite train` imports, in its order.
_IMPORTED = "t5x_lite.training.loop", "t5x_lite.evaluation.during_training"
_IMPORT = re.compile(r"import time: +(\d+) \| +\d+ \| +(\w+)")
_LARGEST = 12
# What our command and torch_first_step.py print before and after the step.
_READY, _DONE = ("ready", "ready after"), ("step 1", "train 1/1 ")


def ours(settings: Settings, *, is_warm: bool = False) -> Prepared:
    """`t5x_lite train` from our export, on a task of SeqIO, packed; nothing is compiled before.

    Args:
        is_warm: the same job has run before and left its compiled programs.
    """
    cache = settings.directory.with_suffix(".compiled")
    environment = {"JAX_COMPILATION_CACHE_DIR": str(cache)} if is_warm else {}
    words = ["-m", "t5x_lite", "train", *_flags(settings)]

    def run() -> Numbers:
        shutil.rmtree(_model_dir(settings), ignore_errors=True)
        return _first_step(words, environment)

    if is_warm:
        run()
    return Prepared(run, {} if is_warm else {"imports": imports()})


def torch(settings: Settings, *, mode: str) -> Prepared:
    """A script without an input pipeline: torch and transformers imported, a model read, a step."""
    script = pathlib.Path(__file__).with_name("torch_first_step.py")
    shape = settings.batch, settings.inputs, settings.targets, settings.threads
    words = [str(script), str(settings.directory), mode, *map(str, shape)]
    return Prepared(lambda: _first_step(words, {}))


def imports() -> dict[str, float]:
    """Seconds of the packages whose modules take longest to import, what they import left out."""
    code = f"import {', '.join(_IMPORTED)}"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    seconds: collections.Counter[str] = collections.Counter()
    for microseconds, package in _IMPORT.findall(done.stderr):
        seconds[package] += int(microseconds)
    return {package: taken / 1e6 for package, taken in seconds.most_common(_LARGEST)}


def _flags(settings: Settings) -> list[str]:
    values = {
        "MODEL_DIR": _model_dir(settings),
        "MIXTURE_OR_TASK_NAME": "emoji_en_de",
        "TASK_FEATURE_LENGTHS": {"inputs": settings.inputs, "targets": settings.targets},
        "VOCABULARY": settings.directory / SENTENCEPIECE,
        "INITIAL_CHECKPOINT_PATH": settings.directory,
        "TRAIN_STEPS": 1,
        "BATCH_SIZE": settings.batch,
        "DROPOUT_RATE": 0.0,
    }
    files = (*settings.model_files, "recipes/pretrain.gin")
    return [
        "--module_import=t5x_lite.tasks.emoji",
        *(f"--gin_file={name}" for name in files),
        *(f"--gin.{name}={value}" for name, value in values.items()),
    ]


def _model_dir(settings: Settings) -> pathlib.Path:
    return settings.directory.with_suffix(".first_step")


def _first_step(words: Sequence[str], environment: Mapping[str, str]) -> Numbers:
    """Seconds until a process has said that it made its step, after which it is ended."""
    began, ready = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        env=os.environ | environment,
    )
    assert process.stdout is not None, "it is a pipe"
    try:
        for line in process.stdout:
            print(line, end="", file=sys.stderr)
            seconds = time.perf_counter() - began
            if line.startswith(_DONE):
                return {SECONDS: seconds, "ready_seconds": ready, "step_seconds": seconds - ready}
            if line.startswith(_READY):
                ready = seconds
    finally:
        process.kill()
        process.communicate()
    raise RuntimeError(f"{' '.join(words[:2])} ended without a step")
