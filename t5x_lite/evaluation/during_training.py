"""Decoded metrics of a run that goes on: a hook beside the training loop.

It decodes with the live parameters on the training mesh, so nothing is copied or restored, and
writes what `t5x_lite eval` writes (see `scoring`) into MODEL_DIR/inference_eval.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
from etils import epath
from jaxtyping import Array

from t5x_lite import storage
from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data.examples import evaluation_tasks, tasks_with_examples
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.evaluation import files, selection
from t5x_lite.evaluation.answers import LiveModel, read_examples
from t5x_lite.evaluation.averages import NAME, averages, write_averages
from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.scoring import Result, ScoredTask, Writing
from t5x_lite.inference.fitting import check_fits, check_lengths_told
from t5x_lite.json_lines import drop_lines_behind
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.hooks import make_writer
from t5x_lite.training.state import StateFactory, TrainState
from t5x_lite.training.stopwatch import Stopwatch

# Called on every process with the same scores: step, {"<task>/<metric>": value}.
OnScores = Callable[[int, Mapping[str, float]], None]

_FOLDER = "inference_eval"
# Training waits for the intervals of each task.
_STATISTICS = StatisticsConfig(max_seconds=2.0)


class EvaluateDecoded:
    """Decodes and scores the same examples every `period` steps and at the end."""

    def __init__(
        self,
        tasks: Sequence[ScoredTask],
        model: LiveModel,
        stopwatch: Stopwatch,
        *,
        writings: Mapping[str, Writing],
        model_dir: str,
        period: int,
        last_step: int,
        on_scores: OnScores,
        stop_if_asked: Callable[[], None],
    ):
        self._stop_if_asked = stop_if_asked
        self._tasks, self._model, self._stopwatch = tasks, model, stopwatch
        self._writings, self._model_dir = writings, model_dir
        self._period, self._last_step, self._on_scores = period, last_step, on_scores

    @property
    def score_names(self) -> list[str]:
        """The names "<task>/<metric>" that `on_scores` will be given."""
        return [f"{each.task.name}/{name}" for each in self._tasks for name in each.metric_names]

    def due(self, step: int) -> bool:
        """Every `period` steps and at the end."""
        return step % self._period == 0 or step == self._last_step

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Scores every task."""
        if not self.due(step):
            return
        jax.block_until_ready(metrics)
        with self._stopwatch.paused():
            self._evaluate(step, state.parameters)

    def make_up(self, step: int, state: TrainState) -> None:
        """Scores the state that a run goes on from."""
        if jax.process_index() == 0:
            for writing in self._writings.values():
                if writing.writer is not None:
                    writing.writer.drop_behind(step - 1)
            _forget_behind(absolute(self._model_dir) / _FOLDER, self._writings, step - 1)
        with self._stopwatch.paused():
            self._evaluate(step, state.parameters)

    def _evaluate(self, step: int, parameters: Any) -> None:
        scores: dict[str, float] = {}
        results = []
        for scored in self._tasks:
            name = scored.task.name
            result = scored.result(
                self._model.answer(
                    parameters, step, scored.task, scored.examples, self._stop_if_asked
                ),
                step=step,
                writing=self._writings[name],
                statistics=_STATISTICS,
            )
            results.append(result)
            scores |= {f"{name}/{metric}": value for metric, value in result.scores.items()}
            say(_line(step, result))
            for warning in result.warnings:
                say(warning)
        self._on_scores(step, scores)
        for name, value in averages(results).items():
            say(f"step {step}  {name}: {value:.2f}")
        if jax.process_index() == 0:
            write_averages(results, self._writings[result.task])
            with self._writings[result.task].attempting():
                selection.write_best(self._model_dir)

    def close(self) -> None:
        """Writes what is buffered."""
        for writing in self._writings.values():
            if writing.writer is not None:
                writing.writer.close()


def make_hook(
    config: TrainConfig,
    factory: StateFactory,
    stopwatch: Stopwatch,
    *,
    first_step: int,
    last_step: int,
    on_scores: OnScores,
    stop_if_asked: Callable[[], None],
) -> EvaluateDecoded | None:
    """The hook that a job asks for, its examples read; None if it asks for none or if no task of
    `infer_eval_dataset` has a metric.

    Raises:
        UserError: a metric fails on the targets themselves, no task has an example, or the model
            does not decode so.
    """
    dataset = config.infer_eval_dataset
    if dataset is None:
        return None
    found = evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    if not any(task.has_metrics for task in found):
        say(f"{dataset.mixture_or_task_name} has no metric_fns: nothing is decoded while training")
        return None
    check_fits(config.model, config.decoding)
    check_lengths_told(config.model, lengths=None)
    folder = absolute(config.model_dir) / _FOLDER
    scorable, empty = tasks_with_examples([each for each in found if each.has_metrics], dataset)
    if empty:
        say(f"decoding: {empty}")
    tasks, writings = [], {}
    for task in scorable:
        scored = ScoredTask(task, read_examples(task, dataset, config.infer_eval_examples))
        _try_metrics(scored)
        tasks.append(scored)
        writer = make_writer(folder / files.name_of(task.name, dataset.split), first_step)
        writings[task.name] = Writing(folder, dataset.split, config.decoding, writer, goes_on=True)
    if jax.process_index() == 0:
        _forget_behind(folder, writings, first_step)
    return EvaluateDecoded(
        tasks,
        LiveModel(factory, config.decoding, dataset),
        stopwatch,
        writings=writings,
        model_dir=config.model_dir,
        period=config.infer_eval_period or config.eval_period,
        last_step=last_step,
        on_scores=on_scores,
        stop_if_asked=stop_if_asked,
    )


def _forget_behind(folder: epath.Path, tasks: Iterable[str], step: int) -> None:
    for path in storage.listed(folder):
        if path.name.startswith(NAME) and path.suffix == ".jsonl":
            drop_lines_behind(path, step)
    for task in tasks:
        files.forget_behind(folder, task, step)


def _try_metrics(scored: ScoredTask) -> None:
    """A metric that cannot even score the targets must not end a run hours from now."""
    try:
        names = scored.metric_names
    except Exception as error:
        raise UserError(
            f"a metric of {scored.task.name} fails when the targets themselves are the "
            f"predictions: {type(error).__name__}: {error}. Correct the task's metric_fns or "
            "postprocess_fn, or train without them: --gin.INFER_EVAL_DATASET=None"
        ) from error
    say(f"{scored.task.name}: {len(scored.examples)} examples to decode for {', '.join(names)}")


def _line(step: int, result: Result) -> str:
    shown = [
        f"{name} {value:.2f} {result.intervals.get(name, '')}".rstrip()
        for name, value in result.scores.items()
    ]
    return f"step {step}  {result.task}: {'  '.join(shown)}"
