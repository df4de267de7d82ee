"""A restored model that answers the examples of a task, on a mesh."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data import checks
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import Example, prompt_batches
from t5x_lite.data.layout import Layout
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.inference.generate import Generate, make_generate
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import Partitioner, make_partitioner
from t5x_lite.training import compilation_cache
from t5x_lite.training.layout import layout_of
from t5x_lite.training.progress import say
from t5x_lite.training.start import load_parameters

_SECONDS_BETWEEN_LINES = 10.0


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Parameters of one checkpoint and the compiled function that decodes with them."""

    parameters: Any
    step: int
    layout: Layout
    partitioner: Partitioner
    generate: Generate

    def predict(
        self,
        examples: Sequence[Example],
        *,
        batch_size: int,
        length: int | None,
        label: str,
    ) -> list[np.ndarray]:
        """Ids for every example, in their order, each exactly once."""
        predictions: list[np.ndarray] = []
        began = printed = time.monotonic()
        for prompts in prompt_batches(examples, self.layout, batch_size=batch_size, length=length):
            placed = self.partitioner.global_batch(self._own_rows(prompts.features))
            ids = np.asarray(self.generate(self.parameters, placed))
            predictions.extend(ids[: prompts.num_examples])
            now = time.monotonic()
            if now - printed > _SECONDS_BETWEEN_LINES or len(predictions) == len(examples):
                printed = now
                rate = len(predictions) / (now - began)
                say(f"{label} {len(predictions)}/{len(examples)}  {rate:.1f} examples/s")
        return predictions

    def _own_rows(self, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every process holds the whole batch (examples are few); each feeds its own rows."""
        index, count = self.partitioner.reader
        return {name: np.split(rows, count)[index] for name, rows in features.items()}


def make_predictor(
    *,
    checkpoint_path: str,
    output_dir: str,
    model: ModelConfig,
    dataset: DatasetConfig,
    decoding: DecodingConfig,
    partitioning: PartitioningConfig,
    use_compilation_cache: bool,
) -> Predictor:
    """Checks a job's data and mesh, then restores its checkpoint.

    `checkpoint_path` is a checkpoint, a model directory (its newest) or a Hugging Face directory.
    """
    partitioner = make_partitioner(partitioning)
    partitioner.check_batch_size(dataset.batch_size)
    layout = layout_of(model)
    checks.check_dataset(dataset, layout, vocab_size=model.vocab_size, lengths_required=False)
    compilation_cache.enable(absolute(output_dir), enabled=use_compilation_cache)
    parameters, step = load_parameters(checkpoint_path, model, partitioner)
    say(f"{checkpoint_path}: step {step}, {transformer.num_parameters(model):,} parameters")
    shardings = jax.tree.map(lambda leaf: leaf.sharding, parameters)
    generate = make_generate(model, decoding, partitioner=partitioner, shardings=shardings)
    return Predictor(parameters, step, layout, partitioner, generate)
