"""SeqIO task or mixture -> this process's rows of each global batch.

Rows lie shard after shard: of 2 processes and 4 shards of 2 rows, process 0 has rows 0-3 (shards 0
and 1), process 1 rows 4-7. The order is a function of the seed and the number of shards, so any
number of processes that divides the shards reads the same batches.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import seqio
from jaxtyping import Int32

from t5x_lite.data import checks, silence, streams
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.layout import Layout

Batch = Mapping[str, Int32[np.ndarray, "_rows _length"]]

silence.hide_accelerators_from_tensorflow()


def make_batches(
    config: DatasetConfig,
    layout: Layout,
    *,
    process_index: int = 0,
    process_count: int = 1,
    num_epochs: int | None = None,
) -> Iterator[Batch]:
    """Rows [batch_size / process_count, length] of SeqIO's model features, batch after batch.

    With `num_epochs` None the batches never end. Otherwise each example occurs `num_epochs` times;
    where the last batch has no more examples its rows are zero, loss weights included, and all
    processes make the same number of batches.
    """
    checks.check_mixture_or_task(config.mixture_or_task_name)
    checks.check_split(config.mixture_or_task_name, config.split)
    checks.check_lengths(config.mixture_or_task_name, config.task_feature_lengths, layout)
    num_shards = checks.num_data_shards(config, process_count)
    per_process = num_shards // process_count
    owned = range(process_index * per_process, (process_index + 1) * per_process)
    # The end of an epoch is the end of the longest shard, so every process has to read them all.
    read = owned if num_epochs is None else range(num_shards)
    shards = {
        index: streams.shard_batches(
            config, layout, seqio.ShardInfo(index, num_shards), num_epochs=num_epochs
        ).as_numpy_iterator()
        for index in read
    }
    if num_epochs is None:
        return _endless([shards[index] for index in owned])
    return _finite(shards, owned, rows_per_shard=config.batch_size // num_shards)


def _endless(shards: list[Iterator[Batch]]) -> Iterator[Batch]:
    while True:
        yield _join([next(shard) for shard in shards])


def _finite(
    shards: Mapping[int, Iterator[Batch]], owned: range, *, rows_per_shard: int
) -> Iterator[Batch]:
    while True:
        batches = {index: next(shard, None) for index, shard in shards.items()}
        some = next((batch for batch in batches.values() if batch is not None), None)
        if some is None:
            return
        empty = {name: feature[:0] for name, feature in some.items()}
        yield _join([_fill(batches[index] or empty, rows_per_shard) for index in owned])


def _fill(batch: Batch, rows: int) -> Mapping[str, Int32[np.ndarray, "rows _length"]]:
    return {
        name: np.pad(feature, [(0, rows - len(feature)), (0, 0)]) for name, feature in batch.items()
    }


def _join(batches: list[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
