"""Two evaluated models, example by example: which is better, and is it more than chance?

It reads the predictions that evaluations wrote and scores them with the tasks' own metrics, so
nothing is decoded and no model is loaded.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath
from rich import table as rich_table

from t5x_lite import json_lines
from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data.examples import find_task
from t5x_lite.display.terminal import console
from t5x_lite.errors import UserError
from t5x_lite.evaluation import statistics
from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.statistics import Comparison

_CHECKPOINT = re.compile(r"checkpoint_(\d+)")


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A directory with inference_eval/, and the step that is meant; None is that of each task's
    newest evaluation.
    """

    directory: epath.Path
    step: int | None = None

    @property
    def tasks(self) -> list[str]:
        """What was evaluated there."""
        found = (self.directory / "inference_eval").glob("*-metrics.jsonl")
        return sorted(path.name.removesuffix("-metrics.jsonl") for path in found)

    def scores(self, task: str) -> Mapping[str, Any]:
        """The line of <task>-metrics.jsonl, its step included.

        Raises:
            UserError: the step was not evaluated.
        """
        path = self.directory / "inference_eval" / f"{task}-metrics.jsonl"
        lines = _read(path)
        meant = [line for line in lines if self.step in (None, line["step"])]
        if not meant:
            steps = ", ".join(str(step) for step in sorted({line["step"] for line in lines}))
            raise UserError(
                f"{task} was not evaluated at step {self.step} in {self.directory}, only at "
                f"{steps}: evaluate it there (t5x_lite eval), or name one of these."
            )
        return meant[-1]

    def predictions(self, task: str) -> list[dict[str, Any]]:
        """The lines of <task>-<step>.jsonl."""
        step = int(self.scores(task)["step"])
        path = self.directory / "inference_eval" / f"{task}-{step:06}.jsonl"
        lines = _read(path)
        if not lines:
            raise UserError(
                f"{path} is not there: needed are the predictions that t5x_lite eval writes; "
                "evaluate the checkpoint again."
            )
        return lines


def find(path: str) -> Evaluated:
    """What a model directory, an EVAL_OUTPUT_DIR or MODEL_DIR/checkpoint_<step> means.

    Raises:
        FileNotFoundError: nothing was evaluated there.
    """
    directory = absolute(path)
    match = _CHECKPOINT.fullmatch(directory.name)
    found = Evaluated(directory)
    if match and not found.tasks:
        found = Evaluated(directory.parent, int(match.group(1)))
    if not found.tasks:
        raise FileNotFoundError(
            f"no evaluation in {path}: needed is a directory with inference_eval/, which t5x_lite "
            "eval writes into EVAL_OUTPUT_DIR and train into MODEL_DIR, or a checkpoint_<step> of "
            "a model directory that was evaluated at this step."
        )
    return found


def compare(
    first: Evaluated, second: Evaluated, config: StatisticsConfig
) -> dict[str, list[Comparison]]:
    """The comparisons of each task that both evaluated; its tasks must be registered.

    Raises:
        UserError: there is no such task, the examples are not the same, or the task's metrics give
            other scores than were recorded.
    """
    tasks = [task for task in first.tasks if task in second.tasks]
    if not tasks:
        raise UserError(
            f"nothing to compare: {first.directory} has {', '.join(first.tasks)} and "
            f"{second.directory} has {', '.join(second.tasks)}; evaluate both on a common task."
        )
    return {task: _compare_task(task, first, second, config) for task in tasks}


def print_comparison(
    paths: tuple[str, str], config: StatisticsConfig, output: epath.PathLike | None = None
) -> None:
    """A row for each metric of each common task; the first model, then the second.

    `output` receives the same as JSON lines: task, metric, a, b, `difference` (b minus a, and both
    ends of its interval), p_value.
    """
    first, second = (find(path) for path in paths)
    table = rich_table.Table(title=f"A: {paths[0]}   B: {paths[1]}")
    interval = f"{100 * config.confidence:g} % interval"
    for name in ("task", "metric", "steps", "A", "B", "B - A", interval, "p"):
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    found = compare(first, second, config)
    for task, comparisons in found.items():
        steps = ", ".join(str(each.scores(task)["step"]) for each in (first, second))
        for each in comparisons:
            table.add_row(
                task,
                each.metric,
                steps,
                f"{each.first:.2f}",
                f"{each.second:.2f}",
                f"{each.difference:+.2f}",
                str(each.interval),
                f"{each.p_value:.4f}",
            )
    table.caption = (
        "the same examples of both: paired bootstrap percentiles of the difference, two-sided "
        "approximate randomization"
    )
    console().print(table)
    if output is not None:
        json_lines.write_lines(output, list(_lines(found)))


def _lines(found: Mapping[str, Sequence[Comparison]]) -> Iterator[dict[str, Any]]:
    for task, comparisons in found.items():
        for each in comparisons:
            yield {
                "task": task,
                "metric": each.metric,
                "a": each.first,
                "b": each.second,
                "difference": [each.difference, each.interval.low, each.interval.high],
                "p_value": each.p_value,
            }


def _compare_task(
    task: str, first: Evaluated, second: Evaluated, config: StatisticsConfig
) -> list[Comparison]:
    sides = [each.predictions(task) for each in (first, second)]
    _refuse_other_examples(task, *sides)
    metrics = find_task(task).metrics
    targets = [line["target"] for line in sides[0]]
    answers = [[line["prediction"] for line in lines] for lines in sides]
    comparisons = statistics.compare(metrics, targets, answers[0], answers[1], config)
    recorded = first.scores(task), second.scores(task)
    for each in comparisons:
        for evaluated, score, line in zip(
            (first, second), (each.first, each.second), recorded, strict=True
        ):
            _refuse_other_score(task, each.metric, evaluated, score, line)
    return comparisons


def _refuse_other_examples(
    task: str, first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> None:
    if len(first) != len(second):
        raise UserError(
            f"{task}: A has {len(first)} examples, B {len(second)}; needed are the same: evaluate "
            "both with the same SPLIT and NUM_EXAMPLES."
        )
    for index, (one, other) in enumerate(zip(first, second)):
        for part in ("input", "target"):
            if one[part] != other[part]:
                raise UserError(
                    f"{task}: example {index} differs between A and B: its {part} is {one[part]!r} "
                    f"and {other[part]!r}; needed are the same examples in the same order: "
                    "evaluate both with the same SPLIT and the same version of the task."
                )


def _refuse_other_score(
    task: str, metric: str, evaluated: Evaluated, score: float, line: Mapping[str, Any]
) -> None:
    recorded = line.get(metric)
    if recorded is None or not math.isclose(score, recorded, rel_tol=1e-6, abs_tol=1e-6):
        both_undefined = recorded is not None and math.isnan(score) and math.isnan(recorded)
        if not both_undefined:
            raise UserError(
                f"{task}: {metric} of the predictions in {evaluated.directory} is {score:.6g} by "
                f"the task's metrics, but {recorded} was recorded: the metrics were changed since, "
                "or need more than what JSON keeps of a prediction. Evaluate both again (kept "
                "answers are not decoded again)."
            )


def _read(path: epath.Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return json_lines.read_lines(path)
