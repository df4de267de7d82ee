"""SeqIO task or mixture -> this process's rows of each global batch.

Rows lie shard after shard: of 2 processes and 4 shards of 2 rows, process 0 has rows 0-3 (shards 0
and 1), process 1 rows 4-7. The order is a function of the seed and the number of shards, so any
number of processes that divides the shards reads the same batches.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import seqio
import tensorflow as tf
from jaxtyping import Int32

from t5x_lite.data import beside, checks, silence, streams
from t5x_lite.data.config import DatasetConfig
from t5x_lite.features.layouts import ModelFeatures

Batch = Mapping[str, Int32[np.ndarray, "_rows _length"]]

silence.hide_accelerators_from_tensorflow()


def make_batches(
    config: DatasetConfig,
    features: ModelFeatures,
    *,
    process_index: int = 0,
    process_count: int = 1,
    num_epochs: int | None = None,
    any_process: Callable[[bool], bool] | None = None,
) -> Iterator[Batch]:
    """Rows [batch_size / process_count, length] of SeqIO's model features, batch after batch.

    With `num_epochs` None the batches never end. Otherwise each example occurs `num_epochs` times;
    where a process or shard has no more examples its rows are zero, loss weights included, until
    none has any, so that all processes make the same number of batches.

    Args:
        any_process: whether this is true on any process; all ask it once for each batch. Needed for
            epochs on several processes, each of which reads its own shards only.
    """
    if process_count > 1 and num_epochs is not None and any_process is None:
        raise ValueError("epochs on several processes need any_process, to end together")
    checks.check_mixture_or_task(config.mixture_or_task_name)
    checks.check_split(config.mixture_or_task_name, config.split)
    checks.check_lengths(config.mixture_or_task_name, config.task_feature_lengths, features.layout)
    num_shards = checks.num_data_shards(config, process_count)
    per_process = num_shards // process_count
    owned = range(process_index * per_process, (process_index + 1) * per_process)
    shards = [
        streams.shard_batches(
            config, features, seqio.ShardInfo(index, num_shards), num_epochs=num_epochs
        )
        for index in owned
    ]
    if num_epochs is None:
        return _endless([shard.as_numpy_iterator() for shard in shards])
    return _finite(
        shards, rows_per_shard=config.batch_size // num_shards, any_process=any_process or bool
    )


def _endless(shards: list[Iterator[Batch]]) -> Iterator[Batch]:
    while True:
        with beside.said_plainly():
            batches = [next(shard) for shard in shards]
        yield _join(batches)


def _finite(
    shards: list[tf.data.Dataset], *, rows_per_shard: int, any_process: Callable[[bool], bool]
) -> Iterator[Batch]:
    empty = {
        name: np.zeros([0, *spec.shape[1:]], spec.dtype.as_numpy_dtype)
        for name, spec in shards[0].element_spec.items()
    }
    iterators = [shard.as_numpy_iterator() for shard in shards]
    while True:
        with beside.said_plainly():
            batches = [next(iterator, None) for iterator in iterators]
        if not any_process(any(batch is not None for batch in batches)):
            return
        yield _join([_fill(batch or empty, rows_per_shard) for batch in batches])


def _fill(batch: Batch, rows: int) -> Mapping[str, Int32[np.ndarray, "rows _length"]]:
    return {
        name: np.pad(feature, [(0, rows - len(feature)), (0, 0)]) for name, feature in batch.items()
    }


def _join(batches: list[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
