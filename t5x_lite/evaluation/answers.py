"""A model's answers to the examples of a task: the one place where evaluation meets inference."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int32

from t5x_lite.checkpoints import manager, pretrained
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import EvaluationTask, Example
from t5x_lite.data.prompts import prompt_of
from t5x_lite.data.vocabulary_files import first_sentinel
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.evaluation import decodes, ranking
from t5x_lite.evaluation.config import EvalConfig, OptionScore
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.predictor import Predictor, make_predictor
from t5x_lite.training.state import StateFactory

Rows = Int32[np.ndarray, "examples _length"]


def read_examples(
    task: EvaluationTask, dataset: DatasetConfig, num_examples: int | None
) -> list[Example]:
    """The examples of a job's split, each exactly once."""
    return task.examples(
        split=dataset.split,
        task_feature_lengths=dataset.task_feature_lengths,
        num_examples=num_examples,
        use_cached=dataset.use_cached,
        seed=dataset.seed,
    )


@dataclasses.dataclass(frozen=True)
class Answers:
    """A model's answers to examples: their texts and, where they were written, the ids; where a
    metric asks for them the log-likelihoods of the targets; where options were ranked a number for
    each, NaN behind them; where a head told them what it gave. Texts are empty where nothing was
    asked but scores.
    """

    rows: Rows | None
    texts: Sequence[str]
    scores: Float[np.ndarray, " examples"] | None = None
    option_scores: Float[np.ndarray, "examples _most"] | None = None
    told: Float[np.ndarray, "examples _numbers"] | None = None


def decoded(
    task: EvaluationTask, rows: Rows, scores: Float[np.ndarray, " examples"] | None = None
) -> Answers:
    """The answers that ids are."""
    return Answers(rows, [task.decode(row) for row in rows], scores)


class RestoredModel:
    """A checkpoint that answers; it is read only when an answer is not at hand from before."""

    def __init__(self, config: EvalConfig):
        self._config = config
        self._kept = decodes.Decodes(manager.absolute(config.output_dir) / "decodes")

    @functools.cached_property
    def step(self) -> int:
        """The checkpoint's."""
        return pretrained.step_of(self._config.checkpoint_path)

    def answer(self, task: EvaluationTask, examples: Sequence[Example]) -> Answers:
        """An answer to each example, kept for the next evaluation."""
        config, label = self._config, f"eval {task.name}"
        length = _inputs_length(config.dataset)
        scored = _what_is_scored(task, examples, config.option_score)
        name = decodes.file_name(config, task.name, self.step, examples, length, scored)
        arrays = self._kept.load(name, len(examples)) if config.reuse_decodes else None
        if arrays is not None:
            say(
                f"{label}: the {len(examples)} answers of step {self.step} were decoded before "
                f"(decodes/{name}); to decode again: --gin.REUSE_DECODES=False"
            )
            return _answers(task, examples, arrays)
        arrays = _arrays(
            self._predictor, task, examples, config.dataset, config.option_score, label=label
        )
        self._kept.keep(name, arrays)
        return _answers(task, examples, arrays)

    @functools.cached_property
    def _predictor(self) -> Predictor:
        return make_predictor(self._config, self._config.dataset)


class LiveModel:
    """The parameters of a training run that answer on its own mesh, compiled once."""

    def __init__(self, factory: StateFactory, decoding: DecodingConfig, dataset: DatasetConfig):
        self._dataset, self._decoding = dataset, decoding
        self._engine = Engine(
            Ensemble((factory.model,)),
            # Only where they live counts here; what they hold is given with every answer.
            [factory.abstract.parameters],
            factory.partitioner,
            first_sentinel=first_sentinel(dataset.mixture_or_task_name),
        )

    def answer(
        self,
        parameters: Any,
        step: int,
        task: EvaluationTask,
        examples: Sequence[Example],
        after_batch: Callable[[], None] = lambda: None,
    ) -> Answers:
        """An answer to each example."""
        predictor = Predictor(self._engine.with_parameters([parameters]), step, self._decoding)
        arrays = _arrays(
            predictor,
            task,
            examples,
            self._dataset,
            OptionScore.PER_TOKEN,
            label=f"step {step}  {task.name}",
            after_batch=after_batch,
        )
        return _answers(task, examples, arrays)


def _arrays(
    predictor: Predictor,
    task: EvaluationTask,
    examples: Sequence[Example],
    dataset: DatasetConfig,
    how: OptionScore,
    *,
    label: str,
    after_batch: Callable[[], None] = lambda: None,
) -> decodes.Arrays:
    """All that a model says: `ids` or `option_scores`, unless nothing is asked but `scores`, which
    are there where a metric wants them.
    """
    settings: dict[str, Any] = {"label": label, "after_batch": after_batch}
    arrays: dict[str, np.ndarray] = {}
    if task.told is not None:
        size = dataset.batch_size
        return {"told": predictor.tell(examples, task.told, batch_size=size, **settings)}
    if _is_ranked(examples, how):
        size = dataset.batch_size
        found = ranking.option_scores(predictor, task, examples, how, batch_size=size, **settings)
        most = max(map(len, found))
        arrays["option_scores"] = np.array(
            [np.pad(each, (0, most - len(each)), constant_values=np.nan) for each in found]
        )
    elif _writes(predictor, task, examples):
        arrays["ids"] = _decode(predictor, examples, dataset, **settings)
    if task.score_metrics:
        arrays["scores"] = _scores(predictor, examples, dataset, **settings)
    return arrays


def _answers(
    task: EvaluationTask, examples: Sequence[Example], arrays: Mapping[str, np.ndarray]
) -> Answers:
    if (told := arrays.get("told")) is not None:
        said = [task.told_text(row, each) for row, each in zip(told, examples, strict=True)]
        return Answers(None, said, told=told)
    scores, ranked = arrays.get("scores"), arrays.get("option_scores")
    if ranked is None and "ids" not in arrays:
        return Answers(None, [""] * len(examples), scores)
    if ranked is None:
        return decoded(task, arrays["ids"], scores)
    prompts = [prompt for prompt in map(prompt_of, examples) if prompt is not None]
    texts = [p.options[int(np.nanargmax(row))] for p, row in zip(prompts, ranked, strict=True)]
    ids = task.encode("targets", texts)
    rows = np.zeros((len(ids), max(map(len, ids))), np.int32)
    for row, found in zip(rows, ids, strict=True):
        row[: len(found)] = found
    return Answers(rows, texts, scores, ranked)


def _writes(predictor: Predictor, task: EvaluationTask, examples: Sequence[Example]) -> bool:
    """Whether texts are generated: a task that has metrics of scores alone needs none, if there is
    nothing that they would go on from, or optimised states tell of scores only.

    Raises:
        UserError: states are optimised, and metrics ask for texts.
    """
    if predictor.hidden_states is not None and task.metrics:
        raise UserError(
            f"{task.name} has metrics of texts that a model writes, and optimised hidden states "
            "score texts that are given: needed are options to choose from (OPTION_SCORE other "
            "than 'generate'), or metrics of (targets, scores) alone, such as bits_per_byte."
        )
    is_scored_alone = bool(task.score_metrics) and not task.metrics
    has_inputs = all("inputs" in example for example in examples)
    return not is_scored_alone or (has_inputs and predictor.hidden_states is None)


def _is_ranked(examples: Sequence[Example], how: OptionScore) -> bool:
    return how is not OptionScore.GENERATE and ranking.has_options(examples)


def _what_is_scored(
    task: EvaluationTask, examples: Sequence[Example], how: OptionScore
) -> list[object]:
    """What decides scores beside the prompts' ids."""
    found: list[object] = []
    if task.told is not None:
        found.append(task.told.head)
        for part in (part for example in examples for part in task.told.parts(example)):
            found += [part["inputs"], part.get("token_types", ())]
    if _is_ranked(examples, how):
        every = [prompt for prompt in map(prompt_of, examples) if prompt is not None]
        found += [how.value, *((tuple(each.options), each.neutral) for each in every)]
    if task.score_metrics:
        found += [tuple(map(int, example["targets"])) for example in examples]
    return found


def _scores(
    predictor: Predictor,
    examples: Sequence[Example],
    dataset: DatasetConfig,
    *,
    label: str,
    after_batch: Callable[[], None],
) -> Float[np.ndarray, " examples"]:
    """The log-likelihood of each target, behind its inputs if there are any."""
    found = predictor.score(
        [np.asarray(example.get("inputs", ()), np.int32) for example in examples],
        [example["targets"] for example in examples],
        batch_size=dataset.batch_size,
        label=f"{label}, scores",
        after_batch=after_batch,
    )
    return np.array([each.sum(dtype=np.float64) for each in found])


def _decode(
    predictor: Predictor,
    examples: Sequence[Example],
    dataset: DatasetConfig,
    *,
    label: str,
    after_batch: Callable[[], None] = lambda: None,
) -> Rows:
    rows = predictor.decode(
        examples,
        batch_size=dataset.batch_size,
        length=_inputs_length(dataset),
        label=label,
        after_batch=after_batch,
    )
    return np.stack([np.asarray(row, np.int32) for row in rows])


def _inputs_length(dataset: DatasetConfig) -> int | None:
    return (dataset.task_feature_lengths or {}).get("inputs")
