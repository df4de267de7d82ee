"""The ranges of an exported model, from examples of the task that it is measured on."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.compression import calibration
from t5x_lite.compression.calibration_config import CalibrationConfig
from t5x_lite.data.examples import Example, evaluation_tasks, tasks_with_examples
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.evaluation.answers import read_examples
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting.source import Source
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.batching import groups
from t5x_lite.inference.predictor import asked_of
from t5x_lite.inference.reading import Reading
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import make_partitioner


def calibrated(source: Source, config: CalibrationConfig, job: EvalConfig) -> Source:
    """The model with products of 8 bits and their ranges, by examples of each of the job's tasks.

    Raises:
        UserError: it has ranges already, or the tasks have no such split.
    """
    if source.model.quantization is not None:
        raise UserError(
            "--activations=int8 of a model that was trained with products of 8 bits: its ranges "
            "are known. Leave the flag out: --weights=int8 takes them."
        )
    dataset = dataclasses.replace(job.dataset, split=config.split)
    tasks = evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    found, _ = tasks_with_examples(tasks, dataset)
    examples = [
        example
        for task in found
        for example in read_examples(task, dataset, -(-config.num_examples // len(found)))
    ]
    model, parameters = calibration.with_products_of_8_bits(
        source.model, source.parameters, config.quantization
    )
    partitioner = make_partitioner(job.partitioning)
    rows = partitioner.filled_batch_size(dataset.batch_size)
    batches = _batches(model, examples, rows, partitioner.data_axis_size)
    known = calibration.calibrated(model, parameters, batches, partitioner)
    say(f"ranges: of {len(examples)} examples of the split {config.split!r}")
    if config.split.partition("[")[0] == job.dataset.split.partition("[")[0]:
        say(
            "WARNING: the card is measured on that split too, so it shows the model better than "
            "others will find it: --calibration_split=... names another"
        )
    host = jax.tree.map(np.asarray, known)
    return dataclasses.replace(source, model=model, parameters=host)


def _batches(
    model: ModelConfig, examples: Sequence[Example], batch_size: int, pieces: int
) -> Iterator[dict[str, Any]]:
    """What the model reads of examples, targets included."""
    reading = Reading(model)
    if model.layout is Layout.ENCODER:
        asked = asked_of(examples, of_each_token=True)
        lengths = [len(each.framed.ids) for each in asked]
        for group in groups(lengths, batch_size=batch_size, rows_divide_by=pieces):
            yield reading.asked([asked[place] for place in group.places], group)
        return
    inputs = [np.asarray(example.get("inputs", ()), np.int32) for example in examples]
    targets = [np.asarray(example["targets"], np.int32) for example in examples]
    together = model.layout is not Layout.ENCODER_DECODER
    pairs = zip(inputs, targets, strict=True)
    lengths = [len(i) + len(t) if together else max(len(i), len(t)) for i, t in pairs]
    for group in groups(lengths, batch_size=batch_size, rows_divide_by=pieces):
        read = [inputs[place] for place in group.places]
        yield reading.examples(read, [targets[place] for place in group.places], group)[1]
