"""What train and eval left in a model directory; it is only read, also while a run goes on."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from t5x_lite import json_lines
from t5x_lite.checkpoints.manager import absolute
from t5x_lite.metrics.benchmark_averages import averages

Number = float | int
Lines = Sequence[Mapping[str, Any]]

_CHECKPOINT = re.compile(r"checkpoint_(\d+)")
_PARENT = re.compile(
    r"^(?:INITIAL_CHECKPOINT_PATH|RestoreCheckpointConfig\.path) = ['\"](.+)['\"]$", re.MULTILINE
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of one task: its scores by metric, and intervals, rates, split, decoding."""

    step: int
    scores: Mapping[str, Number]
    statistics: Mapping[str, Any]

    @property
    def split(self) -> str:
        """Where the examples are from; empty if it was not written down."""
        return self.statistics.get("split", "")


@dataclasses.dataclass(frozen=True)
class Run:
    """What one model directory holds; a part that was never written is empty.

    `history` has every evaluation of a task in the order in which they were made, `predictions` the
    examples of the newest.
    """

    label: str
    directory: epath.Path
    train: Lines
    held_out: Mapping[str, Lines]
    history: Mapping[str, Sequence[Evaluation]]
    baselines: Mapping[str, Mapping[str, Number]]
    predictions: Mapping[str, Lines]

    @property
    def newest(self) -> dict[str, Evaluation]:
        """The newest evaluation of each task."""
        return {task: evaluations[-1] for task, evaluations in self.history.items()}

    @property
    def averages(self) -> dict[str, float]:
        """GLUE's and SuperGLUE's, where all their tasks were evaluated, together or one by one."""
        return averages({task: found.scores for task, found in self.newest.items()})

    def score_text(self, task: str, metric: str) -> str:
        """The newest score with its interval, such as `21.50 [19.02, 23.88]`; `-` without one."""
        if task not in self.history or metric not in self.newest[task].scores:
            return "-"
        found = self.newest[task]
        interval = found.statistics.get("intervals", {}).get(metric)
        value = f"{found.scores[metric]:.2f}"
        if interval is None:
            return value
        return f"{value} [{interval['low']:.2f}, {interval['high']:.2f}]"

    def text(self, name: str) -> str:
        """A file of the directory; empty if it is not there."""
        path = self.directory / name
        return path.read_text() if path.is_file() else ""

    def samples(self, task: str, step: int) -> Lines:
        """The predictions at one step."""
        return _read(self.directory / "inference_eval" / f"{task}-{step:06}.jsonl")

    @property
    def parent(self) -> str | None:
        """The checkpoint that the run started from, if it did not start from scratch."""
        match = _PARENT.search(self.text("config.gin"))
        return match.group(1) if match else None

    @property
    def checkpoints(self) -> list[tuple[int, epath.Path]]:
        """Those that are kept, by step."""
        found = ((_CHECKPOINT.fullmatch(path.name), path) for path in _files(self.directory))
        return sorted((int(match.group(1)), path) for match, path in found if match)


def read_run(path: epath.PathLike) -> Run:
    """Reads one model directory.

    Raises:
        FileNotFoundError: it holds nothing that train or eval wrote.
    """
    directory = absolute(path)
    evaluated = directory / "inference_eval"
    names = [file.name for file in _files(evaluated)]
    tasks = sorted(name[: -len("-metrics.jsonl")] for name in names if "-metrics.jsonl" in name)
    histories = {task: _evaluations(evaluated, task) for task in tasks}
    histories = {task: found for task, found in histories.items() if found}
    run = Run(
        label=directory.name,
        directory=directory,
        train=_read(directory / "train" / "metrics.jsonl"),
        held_out={
            folder.name: _read(folder / "metrics.jsonl")
            for folder in _files(directory / "training_eval")
        },
        history=histories,
        baselines={task: _baselines(evaluated / f"{task}-baselines.json") for task in histories},
        predictions={
            task: _read(evaluated / f"{task}-{found[-1].step:06}.jsonl")
            for task, found in histories.items()
        },
    )
    if not run.train and not run.history:
        raise FileNotFoundError(
            f"nothing to report in {directory}: needed is a model directory in which "
            "`t5x_lite train` wrote train/metrics.jsonl or `t5x_lite eval` wrote inference_eval/."
        )
    return run


def _evaluations(folder: epath.Path, task: str) -> list[Evaluation]:
    """Each evaluation appended a line to both files; the last of a step belong together."""
    statistics: dict[int, list[Mapping[str, Any]]] = {}
    for line in _read(folder / f"{task}-statistics.jsonl"):
        statistics.setdefault(line["step"], []).append(line)
    found = []
    for line in reversed(_read(folder / f"{task}-metrics.jsonl")):
        step, of_step = int(line["step"]), statistics.get(line["step"])
        scores = {name: value for name, value in line.items() if name != "step"}
        found.append(Evaluation(step, scores, of_step.pop() if of_step else {}))
    return found[::-1]


def _baselines(path: epath.Path) -> dict[str, Number]:
    """The better of the two trivial baselines, by metric."""
    lines = _read(path)
    if not lines:
        return {}
    copy, constant = lines[0].values()
    return {metric: max(copy[metric], constant[metric]) for metric in copy}


def _read(path: epath.Path) -> list[dict[str, Any]]:
    """JSON lines; a last line that is still being written is left for the next time."""
    if not path.exists():
        return []
    return json_lines.read_lines(path)


def _files(directory: epath.Path) -> list[epath.Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
