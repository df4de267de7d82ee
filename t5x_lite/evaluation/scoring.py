"""Answers to scores, and to the files that users of T5X look for.

In the folder inference_eval, of the split "validation": <task>-<step>.jsonl (a line for each
example), <task>-metrics.jsonl ({"step": n, "split": ..., metric: value}), TensorBoard events in
<task>/ (tags eval/<metric>, eval/sentinel_rate, eval/empty_rate, eval/truncated_rate), and ours:
<task>-baselines.json and <task>-statistics.jsonl (split, decoding settings, intervals, rates). Of
any other split the same with <task>-<split> for <task>. Answers that are there already are not
added again.
"""

import contextlib
import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import jax
import numpy as np
from etils import epath

from t5x_lite import storage
from t5x_lite.data.examples import EvaluationTask, Example, values_of
from t5x_lite.data.prompts import prompt_of
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.display.progress import say
from t5x_lite.evaluation import files
from t5x_lite.evaluation.answers import Answers
from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.rates import output_rates, rate_warnings
from t5x_lite.evaluation.statistics import Interval, intervals
from t5x_lite.json_lines import same, write_lines
from t5x_lite.training.writers import ScalarWriter


@dataclasses.dataclass(frozen=True)
class Result:
    """Scores of one task beside what needs no model: copying the input, one constant answer.

    `intervals` are there on the first process only. `rates` and `warnings` are about what was
    written, whatever the metrics say; of what an encoder tells there are none, nor is it copied.
    """

    task: str
    split: str
    step: int
    num_examples: int
    scores: dict[str, float]
    copy: dict[str, float]
    constant: dict[str, float]
    intervals: dict[str, Interval]
    rates: dict[str, float]
    warnings: list[str]

    def baseline(self, metric: str) -> float | None:
        """The higher of the trivial baselines; None of scores, which only models give."""
        found = [each[metric] for each in (self.copy, self.constant) if metric in each]
        return max(found, default=None)


@dataclasses.dataclass(frozen=True)
class Writing:
    """Where results go and what is said beside them.

    A `writer` that stays open serves a run that evaluates many times; without one each result
    opens and closes its own. A run that `goes_on` is not ended by a disk that is full.
    """

    folder: epath.Path
    split: str
    decoding: DecodingConfig
    writer: ScalarWriter | None = None
    goes_on: bool = False

    def name(self, task: str) -> str:
        """What the files of a task are called by."""
        return files.name_of(task, self.split)

    @contextlib.contextmanager
    def attempting(self) -> Iterator[None]:
        """Inside, something is written."""
        try:
            with storage.os_errors():
                yield
        except OSError as error:
            if not self.goes_on:
                raise
            say(f"WARNING: files of an evaluation are not written, training goes on: {error}")


class ScoredTask:
    """A task with its examples; what does not depend on a model is computed once."""

    def __init__(self, task: EvaluationTask, examples: Sequence[Example]):
        self.task, self.examples = task, examples
        self._said_slow: set[str] = set()

    def result(
        self,
        answers: Answers,
        *,
        step: int,
        writing: Writing,
        statistics: StatisticsConfig,
    ) -> Result:
        """Writes predictions, then scores, then the rest: an error in one loses nothing before."""
        task, writes, repeats = self.task, jax.process_index() == 0, False
        rows, texts = answers.rows, answers.texts
        predictions = self._predictions(texts)
        if writes:
            with writing.attempting():
                repeats = self._write_predictions(writing, step, predictions, answers)
        scores = task.score(self._targets, predictions)
        if answers.scores is not None:
            scores |= values_of(task.score_metrics, self._targets, answers.scores.tolist())
        rates = {} if rows is None else self._rates(rows, texts)
        if writes:
            with writing.attempting():
                self._write_scores(writing, step, scores, rates, repeats=repeats)
        copy, constant = self.baselines
        found: dict[str, Interval] = {}
        if writes:
            baselines = {"copy_input": copy} if copy else {}
            baselines["most_frequent_target"] = constant
            found = intervals(task.metrics, self._targets, predictions, statistics)
            if answers.scores is not None:
                own = answers.scores.tolist()
                found |= intervals(task.score_metrics, self._targets, own, statistics)
            with writing.attempting():
                path = writing.folder / f"{writing.name(task.name)}-baselines.json"
                write_lines(path, [baselines])
                line = self._statistics(writing, step, found, rates, statistics)
                files.put_statistics(writing.folder, writing.name(task.name), line, instead=repeats)
        warnings = rate_warnings(task.name, rates, self._target_rates) if rates else []
        if writes:
            warnings += self._slow_metrics(scores.keys() - found.keys(), statistics)
        return Result(
            task=task.name,
            split=writing.split,
            step=step,
            num_examples=len(texts),
            scores=scores,
            copy=copy,
            constant=constant,
            intervals=found,
            rates=rates,
            warnings=warnings,
        )

    def _slow_metrics(self, names: Set[str], statistics: StatisticsConfig) -> list[str]:
        """What is to be said once of metrics that got no interval."""
        unsaid = sorted(names - self._said_slow)
        self._said_slow |= names
        if not unsaid:
            return []
        return [
            f"{self.task.name}: no interval of {', '.join(unsaid)}, which is too slow to be "
            f"resampled in {statistics.max_seconds:g} s. `t5x_lite eval` may take longer: "
            "--gin.StatisticsConfig.max_seconds=600"
        ]

    @functools.cached_property
    def metric_names(self) -> list[str]:
        """What the metrics give, found by scoring the targets' own texts, or with scores of 0."""
        task, targets = self.task, self._targets
        of_scores = values_of(task.score_metrics, targets, [0.0] * len(targets))
        return [*task.score(targets, self._predictions(self._target_texts)), *of_scores]

    @functools.cached_property
    def baselines(self) -> tuple[dict[str, float], dict[str, float]]:
        """Scores of copying the input, and of the most frequent target for every example."""
        most_frequent = Counter(self._target_texts).most_common(1)[0][0]
        constant = self._score([most_frequent] * len(self.examples))
        inputs = [self._inputs_text(each) for each in self.examples]
        if self.task.told is not None or not any(inputs):
            return {}, constant
        # T5 writes "task prefix: text"; the copy baseline repeats the text.
        copies = [text.split(": ", 1)[-1] for text in inputs]
        return self._score(copies), constant

    def _inputs_text(self, example: Example) -> str:
        """None of a text that is scored as a whole."""
        return self.task.text(example, "inputs") if "inputs" in example else ""

    def _score(self, texts: Sequence[str]) -> dict[str, float]:
        return self.task.score(self._targets, self._predictions(texts))

    def _predictions(self, texts: Sequence[str]) -> list[object]:
        return [
            self.task.prediction(text, example)
            for text, example in zip(texts, self.examples, strict=True)
        ]

    @functools.cached_property
    def _targets(self) -> list[object]:
        return [self.task.target(example) for example in self.examples]

    @functools.cached_property
    def _target_texts(self) -> list[str]:
        return [self.task.target_text(example) for example in self.examples]

    @functools.cached_property
    def _target_rates(self) -> dict[str, float]:
        """What cannot be held against a model: targets may be empty, or sentinels."""
        rows = [np.asarray(example.get("targets", ()), np.int32) for example in self.examples]
        return self._rates(rows, self._target_texts) | {"truncated_rate": 0.0}

    def _rates(self, rows: Sequence[np.ndarray] | np.ndarray, texts: Sequence[str]) -> dict:
        task = self.task
        return output_rates(list(rows), texts, end_id=task.end_id, sentinel_ids=task.sentinel_ids)

    def _write_predictions(
        self, writing: Writing, step: int, predictions: Sequence[object], answers: Answers
    ) -> bool:
        """Whether the same answers were there before."""
        storage.make_folder(writing.folder)
        task = self.task
        lines = [
            {
                "input": {name: value for name, value in example.items() if isinstance(value, str)}
                | {
                    "inputs_pretokenized": self._inputs_text(example),
                    "targets_pretokenized": task.target_text(example),
                },
                "target": target,
                "prediction": prediction,
                **scored,
            }
            for example, target, prediction, scored in zip(
                self.examples,
                self._targets,
                predictions,
                _scored(task, self.examples, answers),
                strict=True,
            )
        ]
        path = files.predictions_path(writing.folder, writing.name(task.name), step)
        if same(files.read(path), lines):
            return True
        write_lines(path, lines)
        return False

    def _write_scores(
        self,
        writing: Writing,
        step: int,
        scores: Mapping[str, float],
        rates: Mapping[str, float],
        *,
        repeats: bool,
    ) -> None:
        name = writing.name(self.task.name)
        line = {"step": step, "split": writing.split, **scores}
        if not files.put_scores(writing.folder, name, line, instead=repeats):
            return
        writer = writing.writer or ScalarWriter(writing.folder / name)
        writer.write(step, {f"eval/{tag}": value for tag, value in {**scores, **rates}.items()})
        if writing.writer is None:
            writer.close()

    def _statistics(
        self,
        writing: Writing,
        step: int,
        found: Mapping[str, Interval],
        rates: Mapping[str, float],
        statistics: StatisticsConfig,
    ) -> dict[str, Any]:
        return {
            "step": step,
            "split": writing.split,
            "num_examples": len(self.examples),
            "decoding": dataclasses.asdict(writing.decoding),
            "confidence": statistics.confidence,
            "intervals": {name: dataclasses.asdict(each) for name, each in found.items()},
            "rates": dict(rates),
        }


def _scored(
    task: EvaluationTask, examples: Sequence[Example], answers: Answers
) -> list[dict[str, Any]]:
    """What is said of each answer beside the prediction."""
    found: list[dict[str, Any]] = [{} for _ in answers.texts]
    if answers.scores is not None:
        for line, score in zip(found, answers.scores.tolist(), strict=True):
            line["score"] = score
    if answers.option_scores is not None:
        for line, example, row in zip(found, examples, answers.option_scores, strict=True):
            prompt = prompt_of(example)
            line["option_scores"] = dict(zip(prompt.options, row.tolist())) if prompt else {}
    if answers.told is not None:
        for line, row in zip(found, answers.told, strict=True):
            if probabilities := task.probabilities(row):
                line["probabilities"] = probabilities
    return found
