"""Examples made once: `t5x_lite cache` beside `seqio_cache_tasks`, in turns in one run.

    python3.11 -m venv beam
    beam/bin/pip install seqio==0.0.20 apache-beam==2.77.0 sentencepiece==0.2.1 google-crc32c
    python -m benchmarks.cache --text=FILE --vocabulary=FILE.model --beam_python=beam/bin/python

Apache Beam needs another protobuf than the locked versions, so it is given as the interpreter of an
environment of its own; without it, only what is here is measured. Both tokenize the same lines, the
text repeated to each of --megabytes, in 16 files; examples and statistics have to be alike before
anything is told. Memory is that of all processes of a command together, what they share counted
once, looked at four times a second. Leave the machine alone meanwhile.
"""

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from t5x_lite.display.terminal import aligned
from t5x_lite.errors import UserError

_FILES = 16
_WORDS_A_LINE = 200
_TASK = """
import seqio

VOCABULARY = seqio.SentencePieceVocabulary({vocabulary!r}, extra_ids=100)


@seqio.map_over_dataset
def name(line):
    return {{"targets": line}}


seqio.TaskRegistry.add(
    "lines",
    seqio.TextLineDataSource({{"train": {folder!r} + "/lines-*.txt"}}),
    preprocessors=[name, seqio.preprocessors.tokenize, seqio.CacheDatasetPlaceholder()],
    output_features={{"targets": seqio.Feature(VOCABULARY)}},
)
"""
_SECONDS_BETWEEN_LOOKS = 0.25


@dataclasses.dataclass(frozen=True)
class Measured:
    """One command: how long it took, also of the cores, and the most memory that it had."""

    arm: str
    megabytes: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 2 where a command failed, 1 where the caches differ."""
    asked = _parser().parse_args(words)
    found: list[Measured] = []
    try:
        for megabytes in asked.megabytes:
            with tempfile.TemporaryDirectory() as folder:
                found += _measure(asked, megabytes, pathlib.Path(folder))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except AssertionError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(found))
    if asked.json:
        text = json.dumps([dataclasses.asdict(each) for each in found], indent=2)
        asked.json.write_text(text + "\n")
    return 0


def table(found: Sequence[Measured]) -> str:
    """A line for each command, the medians of its rounds."""
    rounds = collections.defaultdict(list)
    for each in found:
        rounds[each.arm, each.megabytes].append(each)
    rows = [["command", "MB of text", "seconds", "CPU seconds", "peak MB"]]
    for (arm, megabytes), several in rounds.items():
        numbers = [(each.seconds, each.cpu_seconds, each.peak_bytes / 1e6) for each in several]
        medians = [statistics.median(column) for column in zip(*numbers, strict=True)]
        rows.append([arm, str(megabytes), *(f"{median:,.0f}" for median in medians)])
    return aligned(rows, numbers_from=1)


def _measure(asked: argparse.Namespace, megabytes: int, folder: pathlib.Path) -> list[Measured]:
    _write_lines(asked.text, megabytes * 10**6, folder)
    task = _TASK.format(vocabulary=str(asked.vocabulary.resolve()), folder=str(folder))
    (folder / "lines_to_cache.py").write_text(task)
    found, seen = [], {}
    for turn in range(asked.rounds):
        for arm, command in _commands(asked).items():
            output = folder / f"{arm}-{turn}"
            words = [*command, "--module_import=lines_to_cache", f"--output_cache_dir={output}"]
            seconds, cpu_seconds, peak = measured(words, folder)
            found.append(Measured(arm, megabytes, seconds, cpu_seconds, peak))
            print(f"{arm}, {megabytes} MB: {seconds:.1f} s, {peak / 1e6:,.0f} MB", flush=True)
            seen[arm] = _content(output / "lines")
            shutil.rmtree(output)
    first, *others = seen.values()
    assert all(other == first for other in others), f"{' and '.join(seen)} made other examples"
    return found


def _commands(asked: argparse.Namespace) -> dict[str, list[str]]:
    ours = [sys.executable, "-m", "t5x_lite", "cache", "lines"]
    commands = {f"t5x_lite, {n} workers": [*ours, f"--num_workers={n}"] for n in asked.workers}
    if asked.beam_python:
        theirs = [str(asked.beam_python.absolute()), "-m", "seqio.scripts.cache_tasks_main"]
        commands["seqio"] = [*theirs, "--tasks=lines", f"--min_shards={_FILES}"]
    return commands


def _write_lines(text: pathlib.Path, num_bytes: int, folder: pathlib.Path) -> None:
    words = text.read_text().split()
    starts = range(0, len(words), _WORDS_A_LINE)
    lines = [" ".join(words[start : start + _WORDS_A_LINE]) + "\n" for start in starts]
    files = [open(folder / f"lines-{i:02}.txt", "w") for i in range(_FILES)]
    written = number = 0
    while written < num_bytes:
        written += files[number % _FILES].write(lines[number % len(lines)])
        number += 1
    for file in files:
        file.close()


def _content(folder: pathlib.Path) -> tuple[Mapping[str, int], str]:
    """Statistics, and a sum of the examples, which have no order."""
    import tensorflow as tf

    digests = []
    for path in folder.glob("train.tfrecord-*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            digests.append(hashlib.sha256(example.SerializeToString(deterministic=True)).digest())
    said = json.loads((folder / "stats.train.json").read_text())
    return said, hashlib.sha256(b"".join(sorted(digests))).hexdigest()


# Processes.


def measured(command: Sequence[str], folder: pathlib.Path) -> tuple[float, float, int]:
    """Seconds, those of the cores, and the most bytes that a command and its children had.

    Raises:
        UserError: it failed.
    """
    began, began_cpu, peak = time.monotonic(), _cpu_seconds(), 0
    environment = os.environ | {
        "PYTHONPATH": f"{folder}:{os.getcwd()}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with open(folder / "said", "w+") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        seconds = time.monotonic() - began
        said.seek(0)
        if process.returncode:
            last = "\n".join(said.read().splitlines()[-5:])
            raise UserError(f"{' '.join(command)} exited with {process.returncode}:\n{last}")
    return seconds, _cpu_seconds() - began_cpu, peak


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resident(pid: int) -> int:
    """Bytes of a process and of those below it; 0 of one that has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 1024 * own + sum(_resident(int(child)) for child in children)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cache",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser.add_argument("--text", type=pathlib.Path, required=True, help="what lines are made of")
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True, metavar="FILE.model")
    parser.add_argument("--beam_python", type=pathlib.Path, metavar="PYTHON")
    parser.add_argument("--megabytes", type=numbers, default=[8, 32], metavar="N,N")
    parser.add_argument("--workers", type=numbers, default=[1, 2], metavar="N,N")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
