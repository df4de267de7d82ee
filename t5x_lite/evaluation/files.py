"""The files of evaluations in a folder inference_eval: their names, a line of them, all of them.

A file holds one curve, so each split has files of its own name: `<name>-metrics.jsonl`,
`<name>-statistics.jsonl`, `<name>-<step>.jsonl` ... Older versions wrote all splits under the name
of the task; what was written beside a line tells them apart.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from t5x_lite import json_lines, storage

Number = float | int
Lines = Sequence[Mapping[str, Any]]

# What training evaluates: its files have T5X's names.
_UNNAMED_SPLIT = "validation"
_METRICS, _STATISTICS = "metrics", "statistics"
_NO_SCORES = ("step", "split")


class Scored(NamedTuple):
    """A task and the split whose examples were answered; empty where that is not known."""

    task: str
    split: str

    def __str__(self) -> str:
        return f"{self.task} ({self.split})" if self.split else self.task


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of one task: its scores by metric, and intervals, rates, decoding.

    `name` is what its files are called by, `predictions` the file of its answers, unless a later
    evaluation of the same step has written its own there.
    """

    step: int
    split: str
    scores: Mapping[str, Number]
    statistics: Mapping[str, Any]
    name: str
    predictions: epath.Path | None


def name_of(task: str, split: str) -> str:
    """What the files of a task's split are called by; SeqIO allows no `-` in the name of a task."""
    if split == _UNNAMED_SPLIT:
        return task
    return f"{task}-{re.sub(r'[^A-Za-z0-9_.]', '_', split)}"


def predictions_path(folder: epath.Path, name: str, step: int) -> epath.Path:
    """Where the answers at a step are, a line for each example."""
    return folder / f"{name}-{step:06}.jsonl"


def put_scores(folder: epath.Path, name: str, line: Mapping[str, Any], *, instead: bool) -> bool:
    """Adds a line of scores, or writes it in place of the step's last; whether anything changed."""
    return _put(folder / f"{name}-{_METRICS}.jsonl", line, instead=instead)


def put_statistics(
    folder: epath.Path, name: str, line: Mapping[str, Any], *, instead: bool
) -> bool:
    """The same of what is said beside the scores."""
    return _put(folder / f"{name}-{_STATISTICS}.jsonl", line, instead=instead)


def forget_behind(folder: epath.Path, task: str, step: int) -> None:
    """Removes what later steps than this one left of a task, on any of its splits."""
    for kind in (_METRICS, _STATISTICS):
        for path in storage.listed(folder):
            if path.name.startswith(f"{task}-") and path.name.endswith(f"{kind}.jsonl"):
                json_lines.drop_lines_behind(path, step)


def evaluations(folder: epath.Path) -> dict[Scored, list[Evaluation]]:
    """Every evaluation, those of a task's split in the order in which they were made.

    A last line that is still being written is left for the next time.
    """
    end = f"-{_METRICS}.jsonl"
    names = [path.name for path in storage.listed(folder)]
    found: dict[Scored, list[Evaluation]] = {}
    for name in sorted(each.removesuffix(end) for each in names if each.endswith(end)):
        for evaluation in _of_name(folder, name):
            key = Scored(name.partition("-")[0], evaluation.split)
            found.setdefault(key, []).append(evaluation)
    return found


def _of_name(folder: epath.Path, name: str) -> list[Evaluation]:
    """Each evaluation has a line in both files; the last of a step belong together."""
    statistics: dict[int, list[dict[str, Any]]] = {}
    for line in read(folder / f"{name}-{_STATISTICS}.jsonl"):
        statistics.setdefault(line["step"], []).append(line)
    found: list[Evaluation] = []
    steps: set[int] = set()
    for line in reversed(read(folder / f"{name}-{_METRICS}.jsonl")):
        step = int(line["step"])
        beside = _pop_last(statistics.get(step, []), line.get("split"))
        found.append(
            Evaluation(
                step=step,
                split=line.get("split") or beside.get("split", ""),
                scores={key: value for key, value in line.items() if key not in _NO_SCORES},
                statistics=beside,
                name=name,
                predictions=None if step in steps else predictions_path(folder, name, step),
            )
        )
        steps.add(step)
    return found[::-1]


def _pop_last(lines: list[dict[str, Any]], split: str | None) -> dict[str, Any]:
    for place in reversed(range(len(lines))):
        if split in (None, lines[place].get("split")):
            return lines.pop(place)
    return {}


def read(path: epath.Path | None) -> list[dict[str, Any]]:
    """JSON lines; none where there is no file."""
    return json_lines.read_lines(path) if path is not None and storage.exists(path) else []


def _put(path: epath.Path, line: Mapping[str, Any], *, instead: bool) -> bool:
    before = read(path) if instead else []
    same_step = [place for place, each in enumerate(before) if each["step"] == line["step"]]
    if not same_step:
        json_lines.append_line(path, line)
        return True
    after = [*before[: same_step[-1]], line, *before[same_step[-1] + 1 :]]
    if json_lines.same(before, after):
        return False
    json_lines.write_lines(path, after)
    return True
