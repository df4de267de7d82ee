"""A model's answers to the examples of a task: the one place where evaluation meets inference."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32

from t5x_lite.checkpoints import manager, pretrained
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import EvaluationTask, Example
from t5x_lite.data.vocabulary_files import first_sentinel
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.display.progress import say
from t5x_lite.evaluation import decodes
from t5x_lite.evaluation.config import EvalConfig
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


class RestoredModel:
    """A checkpoint that answers; it is read only when an answer is not at hand from before."""

    def __init__(self, config: EvalConfig):
        self._config = config
        self._kept = decodes.Decodes(manager.absolute(config.output_dir) / "decodes")

    @functools.cached_property
    def step(self) -> int:
        """The checkpoint's."""
        return pretrained.step_of(self._config.checkpoint_path)

    def answer(self, task: EvaluationTask, examples: Sequence[Example]) -> Rows:
        """Ids for each example, kept for the next evaluation."""
        config, label = self._config, f"eval {task.name}"
        length = _inputs_length(config.dataset)
        name = decodes.file_name(config, task.name, self.step, examples, length)
        rows = self._kept.load(name, len(examples)) if config.reuse_decodes else None
        if rows is not None:
            say(
                f"{label}: the {len(rows)} answers of step {self.step} were decoded before "
                f"(decodes/{name}); to decode again: --gin.REUSE_DECODES=False"
            )
            return rows
        rows = _decode(self._predictor, examples, config.dataset, label=label)
        self._kept.keep(name, rows)
        return rows

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
    ) -> Rows:
        """Ids for each example."""
        predictor = Predictor(self._engine.with_parameters([parameters]), step, self._decoding)
        label = f"step {step}  {task.name}"
        return _decode(predictor, examples, self._dataset, label=label, after_batch=after_batch)


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
