"""A bounded part of what training reads, as facts about tasks: ids before they are cut, how full
packed rows are, what a mixture draws. `t5x_lite.inspection` makes statistics of them.
"""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import seqio
import tensorflow as tf

from t5x_lite.data import raw_text, streams
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import EvaluationTask
from t5x_lite.data.pieces import Numbers, Pieces
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Content, ModelFeatures, written

_WHOLE = seqio.ShardInfo(0, 1)
_ROWS_AT_A_TIME = 8
Advance = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Examples of a task, shuffled as for training; the same number of each feature.

    `unknown_characters` counts characters without a piece in their texts.
    """

    ids: Mapping[str, Sequence[Numbers]]
    unknown_characters: Mapping[str, int]
    is_all: bool


class Fill(NamedTuple):
    """What packing made of `examples` examples: the share of each feature's positions that hold
    a token, in so many rows.
    """

    rows: int
    examples: int
    filled: Mapping[str, float]


def read_sample(
    task: EvaluationTask,
    config: DatasetConfig,
    *,
    max_examples: int,
    advance: Advance = lambda count: None,
) -> Sample:
    """Ids before trimming: what preprocessors make with `config.task_feature_lengths`, of which
    objectives need the window, but without the two steps of SeqIO that cut to these lengths.

    Args:
        advance: is told of every example read.

    Raises:
        UserError: the split has no examples.
    """
    features = {name: Pieces(f.vocabulary) for name, f in task.task.output_features.items()}
    ids: dict[str, list[np.ndarray]] = {name: [] for name in features}
    characters: collections.Counter[str] = collections.Counter()
    texts_are_kept, count = True, 0
    dataset = _untrimmed(task.task, config)
    for example in dataset.take(max_examples).as_numpy_iterator():
        for name, pieces in features.items():
            if name not in example:
                continue
            ids[name].append(np.asarray(example[name]).reshape(-1))
            if pieces.num_unknown(ids[name][-1]):
                text = example.get(f"{name}_pretokenized")
                texts_are_kept = texts_are_kept and isinstance(text, bytes)
                if isinstance(text, bytes):
                    characters += pieces.unknown_characters([text.decode("utf-8", "replace")])
        count += 1
        advance(1)
    if not count:
        raise UserError(f"The split {config.split!r} of task {task.name} has no examples.")
    if not texts_are_kept and raw_text.has_texts(task.task):
        # Objectives join and cut texts; those of the source say as much about characters.
        texts = itertools.islice(raw_text.task_texts(task.name, split=config.split), count)
        characters = features[written(features)].unknown_characters(texts)
    return Sample({k: v for k, v in ids.items() if v}, characters, count < max_examples)


def measure_fill(
    config: DatasetConfig,
    features: ModelFeatures,
    *,
    max_examples: int,
    advance: Advance = lambda n: None,
) -> Fill:
    """Packs as training does, by the same code, until so many examples are in rows."""
    provider = seqio.get_mixture_or_task(config.mixture_or_task_name)
    dataset = streams.shard_batches(
        dataclasses.replace(config, batch_size=_ROWS_AT_A_TIME, pack=True, batch_ramp=None),
        features,
        _WHOLE,
        # The tasks of a mixture would each go on until the last of them ends.
        num_epochs=1 if isinstance(provider, seqio.Task) else None,
        has_examples=True,
    )
    rows = examples = 0
    tokens: collections.Counter[str] = collections.Counter()
    positions: collections.Counter[str] = collections.Counter()
    segment_ids = features.row.named(Content.SEGMENT_IDS)
    for batch in dataset.as_numpy_iterator():
        segments = {sequence: batch[name] for sequence, name in segment_ids.items()}
        for name, ids in segments.items():
            tokens[name] += int(np.count_nonzero(ids))
            positions[name] += ids.size
        *_, last = segments.values()
        rows += len(last)
        found = sum(int(row.max()) for row in last)
        examples += found
        advance(found)
        if examples >= max_examples:
            break
    return Fill(rows, examples, {name: tokens[name] / positions[name] for name in tokens})


def draw_counts(config: DatasetConfig, num_draws: int) -> dict[str, int]:
    """How often each task is among the first draws of the first data shard; the mixture's own
    sampler draws, from streams that say only which task they stand for.
    """
    mixture = seqio.get_mixture_or_task(config.mixture_or_task_name)
    tasks = streams.tasks_with_split(mixture, config.split)
    markers = [tf.data.Dataset.from_tensors(index).repeat() for index in range(len(tasks))]
    rates = [mixture.get_rate(task) for task in tasks]
    drawn = streams.draw(markers, rates, mixture, config, _WHOLE).take(num_draws).batch(num_draws)
    counts = np.bincount(next(drawn.as_numpy_iterator()), minlength=len(tasks))
    return {task.name: int(count) for task, count in zip(tasks, counts, strict=True)}


def num_source_examples(task: EvaluationTask, split: str) -> int | None:
    """None where the source does not know."""
    try:
        return task.task.num_input_examples(split)
    except KeyError:  # The source counts other splits only.
        return None


def _untrimmed(task: seqio.Task, config: DatasetConfig) -> tf.data.Dataset:
    source, preprocessors = streams.source_of(task, config)
    return task.replace(
        source=streams.read_in_one_order(source, _WHOLE, seed=config.seed),
        preprocessors=[_without_trim(preprocessor) for preprocessor in preprocessors],
    ).get_dataset(
        sequence_length=config.task_feature_lengths,
        split=config.split,
        seed=config.seed,
        num_epochs=1,
        try_in_mem_cache=False,
        trim_output_features=False,
    )


def _without_trim(preprocessor: object) -> object:
    step = preprocessor
    while isinstance(step, functools.partial):
        step = step.func
    if step is seqio.preprocessors.append_eos_after_trim:
        return seqio.preprocessors.append_eos
    return preprocessor
