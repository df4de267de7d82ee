"""Examples one by one, for evaluation and inference, which see neither SeqIO nor TensorFlow.

for task in evaluation_tasks("my_mixture", split="test"):
    examples = task.examples(split="test", task_feature_lengths=None)
    ...  # inputs_of(examples) -> ids
    predictions = [task.prediction(task.decode(row), example) for row, example in ...]
    task.score([task.target(example) for example in examples], predictions)
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import seqio
from jaxtyping import Float, Int32

from t5x_lite.data import checks, prompts, silence, streams
from t5x_lite.data.config import DatasetConfig, UseCached
from t5x_lite.data.told import Told, told_of
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import layout_of, written
from t5x_lite.metrics.means import MeanMetric
from t5x_lite.metrics.sums import SumMetric
from t5x_lite.text.seqio_vocabulary import padding_of

MetricFn = Callable[[Sequence[Any], Sequence[Any]], dict[str, Any]]
# Ids are arrays, text is str, other features are whatever the task made.
Example = Mapping[str, Any]

silence.hide_accelerators_from_tensorflow()


class EmptySplit(UserError):
    """A split without a single example."""


@dataclasses.dataclass(frozen=True)
class EvaluationTask:
    """One task: its examples, and the way from ids to scores.

    Without labels there is nothing to compare with, whatever metrics the task has.
    """

    task: seqio.Task
    has_labels: bool = True

    @property
    def name(self) -> str:
        """As registered."""
        return self.task.name

    @property
    def has_metrics(self) -> bool:
        """Whether `score` would give anything."""
        task = self.task
        return self.has_labels and bool(task.predict_metric_fns or task.score_metric_fns)

    def examples(
        self,
        *,
        split: str,
        task_feature_lengths: Mapping[str, int] | None,
        num_examples: int | None = None,
        use_cached: UseCached = UseCached.AUTO,
        seed: int = 0,
    ) -> list[Example]:
        """Each example once, in the order of the source: ids of `inputs` and `targets`, their
        strings under `inputs_pretokenized` and `targets_pretokenized`, and all that the task keeps.
        Those that have one answer are one (`told.parts`).

        Args:
            task_feature_lengths: None leaves all ids as long as they are.
            seed: of preprocessors that are random.
        """
        if task_feature_lengths is not None:
            layout = layout_of(self.task.output_features)
            checks.check_lengths(self.name, task_feature_lengths, layout)
        dataset = self.task.get_dataset(
            sequence_length=task_feature_lengths,
            split=split,
            use_cached=streams.reads_cache(self.task, use_cached, split),
            shuffle=False,
            seed=seed,
            num_epochs=1,
            try_in_mem_cache=False,
        )
        every: Iterable[Example] = (
            {name: _plain(feature) for name, feature in example.items()}
            for example in dataset.as_numpy_iterator()
        )
        if self.told is not None:
            every = self.told.joined(every)
        examples = list(itertools.islice(every, num_examples))
        if not examples:
            raise without_examples([self.name], split)
        prompts.check_fit(self.name, examples, task_feature_lengths)
        return examples

    def first_example(self, dataset: DatasetConfig) -> Example | None:
        """The first one of a job's split; None where the split is empty."""
        try:
            (example,) = self.examples(
                split=dataset.split,
                task_feature_lengths=dataset.task_feature_lengths,
                num_examples=1,
                use_cached=dataset.use_cached,
                seed=dataset.seed,
            )
        except EmptySplit:
            return None
        return example

    @functools.cached_property
    def told(self) -> Told | None:
        """What an encoder by itself is asked to tell; None where targets are written."""
        return told_of(self.task.output_features)

    def decode(self, ids: Sequence[int] | Int32[np.ndarray, " _length"]) -> str:
        """The text of ids up to the first end token; padding is no text."""
        features = self.task.output_features
        vocabulary = features[written(features)].vocabulary
        padding, kept = padding_of(vocabulary), []
        for i in map(int, ids):
            if i == vocabulary.eos_id:
                break
            if i != padding:
                kept.append(i)
        return vocabulary.decode(kept)

    def text(self, example: Example, feature: str) -> str:
        """A feature as a string: as it was before tokenization, else decoded. Where an end token is
        none of the feature's own it stands between texts that were joined, and all are told.
        """
        text = example.get(f"{feature}_pretokenized")
        if text is not None:
            return str(text)
        ids, own = example[feature], self.task.output_features[feature]
        return self.decode(ids if own.add_eos else [i for i in ids if i != own.vocabulary.eos_id])

    def target_text(self, example: Example) -> str:
        """What is to be written, or told."""
        if self.told is None:
            return self.text(example, "targets")
        return self.told.target(example, self._vocabulary_of_told)

    def told_text(self, reduced: Float[np.ndarray, " _numbers"], example: Example) -> str:
        """What is told by what was kept of a head's outputs."""
        assert self.told is not None, "who tells was asked"
        return self.told.text(reduced, example, self._vocabulary_of_told)

    def probabilities(self, reduced: Float[np.ndarray, " _numbers"]) -> dict[str, float]:
        """Of each class by its name; none of other answers."""
        if self.told is None or self.told.probabilities is None:
            return {}
        return self.told.probabilities(reduced, self._vocabulary_of_told)

    @property
    def _vocabulary_of_told(self) -> seqio.Vocabulary:
        assert self.told is not None, "who tells was asked"
        return self.task.output_features[self.told.feature].vocabulary

    def target(self, example: Example) -> object:
        """What the metrics compare with."""
        text = self.target_text(example)
        return self.task.postprocess_fn(text, example=example, is_target=True)

    def prediction(self, text: str, example: Example) -> object:
        """The model's text as the metrics want it."""
        return self.task.postprocess_fn(text, example=example, is_target=False)

    def encode(self, feature: str, texts: Sequence[str]) -> list[list[int]]:
        """Texts as ids of a feature, with the end token where the feature has one."""
        wanted = self.task.output_features[feature]
        end = [wanted.vocabulary.eos_id] if wanted.add_eos else []
        return [[*map(int, wanted.vocabulary.encode(text)), *end] for text in texts]

    @property
    def metrics(self) -> list[MetricFn]:
        """The task's metric functions of predictions, each giving numbers by name."""
        return [_giving_numbers(self.name, each) for each in self.task.predict_metric_fns]

    @property
    def score_metrics(self) -> list[MetricFn]:
        """Those of scores, which are log-likelihoods of the targets."""
        return [_giving_numbers(self.name, each) for each in self.task.score_metric_fns]

    def score(self, targets: Sequence[object], predictions: Sequence[object]) -> dict[str, float]:
        """Every metric of predictions by name."""
        return values_of(self.metrics, targets, predictions)

    @property
    def end_id(self) -> int | None:
        """The token that ends a text; None where text goes on behind the targets."""
        targets = self.task.output_features["targets"]
        return int(targets.vocabulary.eos_id) if targets.add_eos else None

    @property
    def sentinel_ids(self) -> range:
        """The ids of <extra_id_0> and its like, at the end of the vocabulary."""
        vocabulary = self.task.output_features["targets"].vocabulary
        return range(vocabulary.vocab_size - vocabulary.extra_ids, vocabulary.vocab_size)


def values_of(
    metrics: Sequence[MetricFn], targets: Sequence[object], answers: Sequence[object]
) -> dict[str, float]:
    """What metric functions give, by name; answers are predictions or scores."""
    return {
        name: float(value)
        for metric in metrics
        for name, value in metric(list(targets), list(answers)).items()
    }


def _giving_numbers(task: str, metric_fn: MetricFn) -> MetricFn:
    if isinstance(metric_fn, SumMetric | MeanMetric):
        return metric_fn
    return functools.partial(_numbers, task, metric_fn)


def _numbers(
    task: str, metric_fn: MetricFn, targets: Sequence[object], predictions: Sequence[object]
) -> dict[str, float]:
    """What a metric function gives, as plain numbers; SeqIO wraps some in a class of its own."""
    scores = {}
    for name, value in metric_fn(targets, predictions).items():
        value = getattr(value, "value", value)
        if not isinstance(value, int | float | np.number):
            raise UserError(
                f"Metric {name!r} of task {task} is {type(value).__name__} {value!r}; needed is a "
                "number, or a seqio.metrics.Scalar."
            )
        scores[name] = float(value)
    return scores


def evaluation_tasks(name: str, *, split: str) -> list[EvaluationTask]:
    """A task by itself, or those of a mixture's tasks that have the split."""
    checks.check_mixture_or_task(name)
    checks.check_split(name, split)
    tasks = seqio.get_subtasks(seqio.get_mixture_or_task(name))
    return [
        EvaluationTask(task, has_labels=checks.all_have_labels(task, split))
        for task in tasks
        if split.partition("[")[0] in task.splits
    ]


def tasks_with_examples(
    tasks: Sequence[EvaluationTask], dataset: DatasetConfig
) -> tuple[list[EvaluationTask], str]:
    """Those that have an example in a job's split, and a line about the others, which are left out.

    A mixture's tasks that lack the split are left out as well; one file that is empty should not
    take the scores of all other tasks away.

    Raises:
        EmptySplit: none has an example.
    """
    found = [task for task in tasks if task.first_example(dataset) is not None]
    names_found = {task.name for task in found}
    empty = [task.name for task in tasks if task.name not in names_found]
    if not found:
        raise without_examples(empty, dataset.split)
    if not empty:
        return found, ""
    names = ", ".join(empty)
    return found, f"left out: {names}, whose split {dataset.split!r} has no examples"


def without_examples(tasks: Sequence[str], split: str) -> EmptySplit:
    """The error about tasks of which there is nothing to read."""
    return EmptySplit(
        f"The split {split!r} of task {', '.join(tasks)} has no examples: are the files empty, or "
        "do the preprocessors drop all? Name another: --gin.EVAL_SPLIT=... in training (or "
        "--gin.TrainConfig.eval_dataset=None, which scores no held-out examples), --gin.SPLIT=... "
        "in eval and infer."
    )


def decoder(name: str) -> Callable[[Sequence[int]], str]:
    """Ids to text, sentinels and end tokens included, by the vocabulary of a task or mixture."""
    checks.check_mixture_or_task(name)
    features = seqio.get_mixture_or_task(name).output_features
    vocabulary = features[written(features)].vocabulary
    padding = padding_of(vocabulary)

    def decode(ids: Sequence[int]) -> str:
        return vocabulary.decode([int(i) for i in ids if i != padding])

    return decode


def find_task(name: str) -> EvaluationTask:
    """A task that is registered."""
    checks.check_mixture_or_task(name)
    return EvaluationTask(seqio.TaskRegistry.get(name))


def inputs_of(examples: Sequence[Example]) -> list[Int32[np.ndarray, " _length"]]:
    """What text is generated from: the ids of each example's `inputs`, end token included."""
    missing = [example for example in examples if "inputs" not in example]
    if missing:
        raise UserError(
            f"Text is generated from `inputs`, but an example has only {', '.join(missing[0])}: "
            "use a task with inputs."
        )
    return [np.asarray(example["inputs"], np.int32) for example in examples]


def _plain(feature: object) -> object:
    """Strings for bytes, arrays and numbers as they are."""
    if isinstance(feature, bytes):
        return feature.decode("utf-8", errors="replace")
    if isinstance(feature, np.ndarray) and feature.dtype == object:
        return np.vectorize(_plain, otypes=[object])(feature).tolist() if feature.size else []
    return feature
