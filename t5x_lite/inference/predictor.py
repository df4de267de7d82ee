"""A restored model that answers the examples of a task, on a mesh."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.checkpoints.pretrained import load_parameters
from t5x_lite.data import checks
from t5x_lite.data.examples import EvaluationTask, Example, prompt_batches
from t5x_lite.data.layout import Layout
from t5x_lite.inference.config import PredictionConfig
from t5x_lite.inference.generate import Generate, make_generate
from t5x_lite.model import transformer
from t5x_lite.partitioning.partitioner import Partitioner, make_partitioner
from t5x_lite.training import compilation_cache
from t5x_lite.training.layout import layout_of
from t5x_lite.training.progress import say

_SECONDS_BETWEEN_LINES = 10.0


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Parameters of one checkpoint and the compiled function that decodes with them."""

    parameters: Any
    step: int
    layout: Layout
    partitioner: Partitioner
    generate: Generate

    def answer(
        self, task: EvaluationTask, config: PredictionConfig, *, label: str
    ) -> tuple[list[Example], list[str]]:
        """The examples of the job's split, each exactly once, and the model's text for each."""
        dataset = config.dataset
        examples = task.examples(
            split=dataset.split,
            task_feature_lengths=dataset.task_feature_lengths,
            num_examples=config.num_examples,
            use_cached=dataset.use_cached,
            seed=dataset.seed,
        )
        ids = self.decode(
            examples,
            batch_size=dataset.batch_size,
            length=(dataset.task_feature_lengths or {}).get("inputs"),
            label=f"{label} {task.name}",
        )
        return examples, [task.decode(row) for row in ids]

    def decode(
        self, examples: Sequence[Example], *, batch_size: int, length: int | None, label: str
    ) -> list[np.ndarray]:
        """The ids that the model answers each example with, the end token included."""
        predictions: list[np.ndarray] = []
        began = printed = time.monotonic()
        for prompts in prompt_batches(examples, self.layout, batch_size=batch_size, length=length):
            placed = self.partitioner.place_batch(prompts.features)
            ids = np.asarray(self.generate(self.parameters, placed))
            predictions.extend(ids[: prompts.num_examples])
            now = time.monotonic()
            if now - printed > _SECONDS_BETWEEN_LINES or len(predictions) == len(examples):
                printed = now
                rate = len(predictions) / (now - began)
                say(f"{label} {len(predictions)}/{len(examples)}  {rate:.1f} examples/s")
        return predictions


def make_predictor(config: PredictionConfig) -> Predictor:
    """Checks a job's data and mesh, then restores its checkpoint."""
    model, dataset = config.model, config.dataset
    partitioner = make_partitioner(config.partitioning)
    partitioner.check_batch_size(dataset.batch_size)
    layout = layout_of(model)
    checks.check_dataset(dataset, layout, vocab_size=model.vocab_size, lengths_required=False)
    compilation_cache.enable(absolute(config.output_dir), enabled=config.compilation_cache)
    parameters, step = load_parameters(config.checkpoint_path, model, partitioner)
    say(f"{config.checkpoint_path}: step {step}, {transformer.num_parameters(model):,} parameters")
    shardings = jax.tree.map(lambda leaf: leaf.sharding, parameters)
    generate = make_generate(model, config.decoding, partitioner=partitioner, shardings=shardings)
    return Predictor(parameters, step, layout, partitioner, generate)
