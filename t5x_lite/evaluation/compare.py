"""Two evaluated models, example by example: which is better, and is it more than chance?

It reads the predictions that evaluations wrote and scores them with the tasks' own metrics, so
nothing is decoded and no model is loaded.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath
from rich import table as rich_table

from t5x_lite import json_lines
from t5x_lite.checkpoints.folders import absolute, is_checkpoint_name, step_of
from t5x_lite.data.examples import find_task
from t5x_lite.display.terminal import console
from t5x_lite.errors import UserError
from t5x_lite.evaluation import files, statistics
from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.files import Evaluation, Scored
from t5x_lite.evaluation.statistics import Comparison


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A directory with inference_eval/, and the step that is meant; None is that of each task's
    newest evaluation.
    """

    directory: epath.Path
    step: int | None = None

    @functools.cached_property
    def history(self) -> dict[Scored, list[Evaluation]]:
        """What was evaluated there, and when."""
        return files.evaluations(self.directory / "inference_eval")

    def evaluation(self, scored: Scored) -> Evaluation:
        """The newest of the step that is meant.

        Raises:
            UserError: the step was not evaluated.
        """
        found = self.history[scored]
        meant = [each for each in found if self.step in (None, each.step)]
        if not meant:
            steps = ", ".join(str(step) for step in sorted({each.step for each in found}))
            raise UserError(
                f"{scored} was not evaluated at step {self.step} in {self.directory}, only at "
                f"{steps}: evaluate it there (t5x_lite eval), or name one of these."
            )
        return meant[-1]

    def predictions(self, scored: Scored) -> list[dict[str, Any]]:
        """The examples of that evaluation with their answers."""
        evaluation = self.evaluation(scored)
        lines = files.read(evaluation.predictions)
        if not lines:
            raise UserError(
                f"{self.directory} has no predictions of {scored} at step {evaluation.step}: "
                "needed are those that t5x_lite eval writes; evaluate the checkpoint again."
            )
        return lines


def find(path: str) -> Evaluated:
    """What a model directory, an EVAL_OUTPUT_DIR or MODEL_DIR/checkpoint_<step> means.

    Raises:
        FileNotFoundError: nothing was evaluated there.
    """
    directory = absolute(path)
    found = Evaluated(directory)
    if is_checkpoint_name(directory) and not found.history:
        found = Evaluated(directory.parent, step_of(directory))
    if not found.history:
        raise FileNotFoundError(
            f"no evaluation in {path}: needed is a directory with inference_eval/, which t5x_lite "
            "eval writes into EVAL_OUTPUT_DIR and train into MODEL_DIR, or a checkpoint_<step> of "
            "a model directory that was evaluated at this step."
        )
    return found


def compare(
    first: Evaluated, second: Evaluated, config: StatisticsConfig
) -> dict[Scored, list[Comparison]]:
    """The comparisons of each task and split that both evaluated; its tasks must be registered.

    Raises:
        UserError: there is no such task, the examples are not the same, or the task's metrics give
            other scores than were recorded.
    """
    common = [scored for scored in first.history if scored in second.history]
    if not common:
        each_has = " and ".join(
            f"{each.directory} has {', '.join(map(str, each.history))}" for each in (first, second)
        )
        raise UserError(
            f"nothing to compare: {each_has}; evaluate both on a common task and split."
        )
    return {scored: _compare_task(scored, first, second, config) for scored in common}


def print_comparison(
    paths: tuple[str, str], config: StatisticsConfig, output: epath.PathLike | None = None
) -> None:
    """A row for each metric of each common task; the first model, then the second.

    `output` receives the same as JSON lines: task, split, metric, a, b, `difference` (b minus a,
    and both ends of its interval), p_value.
    """
    first, second = (find(path) for path in paths)
    table = rich_table.Table(title=f"A: {paths[0]}   B: {paths[1]}")
    interval = f"{100 * config.confidence:g} % interval"
    for name in ("task", "split", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("steps", "A", "B", "B - A", interval, "p"):
        table.add_column(name, justify="right")
    found = compare(first, second, config)
    for scored, comparisons in found.items():
        steps = ", ".join(str(each.evaluation(scored).step) for each in (first, second))
        for each in comparisons:
            table.add_row(
                *scored,
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


def _lines(found: Mapping[Scored, Sequence[Comparison]]) -> Iterator[dict[str, Any]]:
    for scored, comparisons in found.items():
        for each in comparisons:
            yield {
                "task": scored.task,
                "split": scored.split,
                "metric": each.metric,
                "a": each.first,
                "b": each.second,
                "difference": [each.difference, each.interval.low, each.interval.high],
                "p_value": each.p_value,
            }


def _compare_task(
    scored: Scored, first: Evaluated, second: Evaluated, config: StatisticsConfig
) -> list[Comparison]:
    sides = [each.predictions(scored) for each in (first, second)]
    _refuse_other_examples(scored, *sides)
    task = find_task(scored.task)
    targets = [line["target"] for line in sides[0]]
    comparisons = []
    for metrics, name in ((task.metrics, "prediction"), (task.score_metrics, "score")):
        if metrics:
            answers = [[line[name] for line in lines] for lines in sides]
            comparisons += statistics.compare(metrics, targets, answers[0], answers[1], config)
    recorded = [each.evaluation(scored).scores for each in (first, second)]
    for each in comparisons:
        for evaluated, score, scores in zip(
            (first, second), (each.first, each.second), recorded, strict=True
        ):
            _refuse_other_score(scored, each.metric, evaluated, score, scores)
    return comparisons


def _refuse_other_examples(
    scored: Scored, first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> None:
    if len(first) != len(second):
        raise UserError(
            f"{scored}: A has {len(first)} examples, B {len(second)}; needed are the same: "
            "evaluate both with the same SPLIT and NUM_EXAMPLES."
        )
    for index, (one, other) in enumerate(zip(first, second)):
        for part in ("input", "target"):
            if one[part] != other[part]:
                raise UserError(
                    f"{scored}: example {index} differs between A and B: its {part} is "
                    f"{one[part]!r} and {other[part]!r}; needed are the same examples in the same "
                    "order: evaluate both with the same SPLIT and the same version of the task."
                )


def _refuse_other_score(
    scored: Scored, metric: str, evaluated: Evaluated, score: float, scores: Mapping[str, Any]
) -> None:
    recorded = scores.get(metric)
    if recorded is None or not math.isclose(score, recorded, rel_tol=1e-6, abs_tol=1e-6):
        both_undefined = recorded is not None and math.isnan(score) and math.isnan(recorded)
        if not both_undefined:
            raise UserError(
                f"{scored}: {metric} of the predictions in {evaluated.directory} is {score:.6g} by "
                f"the task's metrics, but {recorded} was recorded: the metrics were changed since, "
                "or need more than what JSON keeps of a prediction. Evaluate both again (kept "
                "answers are not decoded again)."
            )
