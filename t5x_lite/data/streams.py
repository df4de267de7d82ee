"""One data shard: an endless (or finite) stream of model-ready rows, a function of the seed alone.

A batch is made of `num_data_shards` such streams that know nothing of each other, so that processes
may be added or taken away without any stream changing. Two things need care beyond SeqIO:

- All shards must agree on the order in which a *source* is read, or they would overlap where SeqIO
  shards by example (every n-th of a shuffled order). So the source gets one seed for all shards.
- All else must differ: with one seed, every shard would draw the same task at the same step and
  corrupt the same positions. So the task's own randomness gets a seed of (seed, shard, task).
"""

import functools
import hashlib
import inspect
import logging
from collections.abc import Sequence

import seqio
import tensorflow as tf
from seqio import dataset_providers

from t5x_lite.data import cache_settings, converters
from t5x_lite.data.config import DatasetConfig, UseCached
from t5x_lite.data.source import Source
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import ModelFeatures

# Each shard is one of several streams of a process, which JAX and the other shards share.
_THREADS_PER_SHARD = 4
_BATCHES_AHEAD = 2

_logger = logging.getLogger(__name__)


def shard_batches(
    config: DatasetConfig,
    features: ModelFeatures,
    shard: seqio.ShardInfo,
    *,
    num_epochs: int | None,
    has_examples: bool = False,
) -> tf.data.Dataset:
    """Batches of this shard's rows; the last of a finite stream may be short.

    Args:
        has_examples: it is known that no task is empty; else the first example of each is read.
    """
    lengths = config.task_feature_lengths
    assert lengths is not None, "checks.check_lengths comes first"
    dataset = converters.convert(
        _examples(config, shard, num_epochs=num_epochs, has_examples=has_examples),
        features,
        lengths=lengths,
        rows=config.batch_size // shard.num_shards,
        pack=config.pack,
        loss_on_targets_only=config.loss_on_targets_only,
        room=config.prompt_length,
    )
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = _THREADS_PER_SHARD
    # What is read to its end and dropped is hardly tuned, and when TensorFlow drops a stream it may
    # wait for its tuner, which sleeps as long again as it was awake, up to a minute.
    options.autotune.enabled = num_epochs is None
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def _examples(
    config: DatasetConfig, shard: seqio.ShardInfo, *, num_epochs: int | None, has_examples: bool
) -> tf.data.Dataset:
    """Tokenized examples of the task, or of the mixture's tasks at their rates."""
    provider = seqio.get_mixture_or_task(config.mixture_or_task_name)
    tasks = tasks_with_split(provider, config.split)
    if num_epochs is None and not has_examples:
        for task in tasks:
            _require_examples(task, config, shard)
    streams = [task_examples(task, config, shard, num_epochs=num_epochs) for task in tasks]
    if isinstance(provider, seqio.Task):
        return streams[0]
    rates = [provider.get_rate(task) for task in tasks]
    if num_epochs is None:
        return draw(streams, rates, provider, config, shard)
    seed = seed_of(config.seed, shard.index, provider.name)
    # SeqIO stops when the first task has no more examples; an epoch means each of all tasks'.
    return tf.data.Dataset.sample_from_datasets(streams, rates, seed, stop_on_empty_dataset=False)


def draw(
    streams: Sequence[tf.data.Dataset],
    rates: Sequence[float],
    mixture: seqio.Mixture,
    config: DatasetConfig,
    shard: seqio.ShardInfo,
) -> tf.data.Dataset:
    """From endless streams, each as often as its rate says, in the order of this shard."""
    # The mixture's own, which its author may have chosen; SeqIO has no public name for it.
    return mixture._sample_fn(streams, rates, seed_of(config.seed, shard.index, mixture.name))


def tasks_with_split(provider: seqio.Task | seqio.Mixture, split: str) -> list[seqio.Task]:
    """A task by itself, or those of a mixture's tasks that have the split."""
    base_split = split.partition("[")[0]
    return [task for task in seqio.get_subtasks(provider) if base_split in task.splits]


def task_examples(
    task: seqio.Task,
    config: DatasetConfig,
    shard: seqio.ShardInfo,
    *,
    num_epochs: int | None,
    shuffle: bool | None = None,
) -> tf.data.Dataset:
    """This shard of one task, as the mixture draws from it; `shuffle` None is the config's."""
    source, preprocessors = source_of(task, config)
    features = tuple(task.output_features)
    shard_task = task.replace(
        source=read_in_one_order(source, shard, seed=seed_of(config.seed, task.name)),
        # The shuffling buffer is most of a saved position: only what the model reads goes into it.
        preprocessors=[*preprocessors, functools.partial(_keep_only, features=features)],
    )
    return shard_task.get_dataset(
        sequence_length=config.task_feature_lengths,
        split=config.split,
        shuffle=config.shuffle if shuffle is None else shuffle,
        seed=seed_of(config.seed, shard.index, task.name),
        num_epochs=num_epochs,
        # Its contents would be part of a saved position.
        try_in_mem_cache=False,
    )


def _keep_only(dataset: tf.data.Dataset, *, features: Sequence[str]) -> tf.data.Dataset:
    return dataset.map(
        lambda example: {name: example[name] for name in features if name in example},
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def source_of(task: seqio.Task, config: DatasetConfig) -> tuple[seqio.DataSource, Sequence[object]]:
    """What the task reads, its cache or its source, and the preprocessors that are still to run."""
    if not reads_cache(task, config.use_cached, config.split):
        return task.source, task.preprocessors
    is_placeholder = [isinstance(p, seqio.CacheDatasetPlaceholder) for p in task.preprocessors]
    place = is_placeholder.index(True)
    # The class is not exported, but it is the reader of the format that SeqIO's cache job writes.
    source = dataset_providers._CachedDataSource(
        task.cache_dir,
        config.split,
        file_shuffle_buffer_size=task.preprocessors[place].file_shuffle_buffer_size,
    )
    return source, task.preprocessors[place + 1 :]


def reads_cache(task: seqio.Task, use_cached: UseCached, split: str) -> bool:
    """Whether the task's examples come from its cache, after a check that they can."""
    if use_cached is UseCached.AUTO:
        if not task.supports_caching or not _is_cached(task, split):
            return False
        cache_settings.check(task, split)
        return True
    if use_cached is UseCached.NEVER:
        if task.requires_caching:
            raise UserError(
                f"Task {task.name} is read from a cache only, and use_cached is NEVER. Set "
                "--gin.USE_CACHED_TASKS='auto'."
            )
        return False
    if not task.supports_caching:
        _logger.warning(
            "Task %s has no CacheDatasetPlaceholder: examples are made on the fly.", task.name
        )
        return False
    if not _is_cached(task, split):
        raise UserError(
            f"use_cached is ALWAYS, but {_no_cache(task, split)} Or make the examples on the fly: "
            "--gin.USE_CACHED_TASKS='auto'."
        )
    cache_settings.check(task, split)
    return True


def _is_cached(task: seqio.Task, split: str) -> bool:
    """Whether there is a cache with this split; others may be absent, slices are."""
    folder = task.cache_dir
    return bool(folder) and tf.io.gfile.exists(seqio.get_cached_info_path(folder, split))


def _no_cache(task: seqio.Task, split: str) -> str:
    folders = ", ".join(map(str, seqio.get_global_cache_dirs())) or "no folder"
    return (
        f"the split {split!r} of {task.name} is not cached in {folders}. Build it with `t5x_lite "
        f"cache {task.name} --output_cache_dir=DIR --module_import=...` and add "
        "--seqio_additional_cache_dirs=DIR."
    )


def read_in_one_order(
    source: seqio.DataSource, shard: seqio.ShardInfo, *, seed: int
) -> seqio.DataSource:
    """This shard of a source whose order is a function of the seed, the same for all shards."""
    return _ShardOfSource(source, shard, seed=seed)


class _ShardOfSource(Source):
    """One shard of `source`, read in the order that all shards agree on."""

    def __init__(self, source: seqio.DataSource, shard: seqio.ShardInfo, *, seed: int) -> None:
        super().__init__(
            splits=source.splits,
            caching_permitted=source.caching_permitted,
            performs_internal_shuffling=source.performs_internal_shuffling,
        )
        self._source = source
        self._shard = shard
        self._seed = seed

    def list_shards(self, split: str) -> Sequence[str]:
        return self._source.list_shards(split)

    def num_input_examples(self, split: str) -> int | None:
        return self._source.num_input_examples(split)

    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        # Whoever made this source has chosen both.
        del seed, shard
        source, own = self._source, self._shard
        order: dict[str, object] = {"shuffle": shuffle, "seed": self._seed}
        if _has_no_seed(source):
            # It could only shuffle differently at each start; the task's buffer still shuffles.
            order = {"shuffle": False, "seed": None}
        if own.num_shards == 1:
            return source.get_dataset(split=split, **order)
        by_file = len(source.list_shards(split)) >= own.num_shards
        if source.supports_arbitrary_sharding or by_file:
            return source.get_dataset(split=split, shard_info=own, **order)
        return source.get_dataset(split=split, **order).shard(own.num_shards, own.index)


def _has_no_seed(source: seqio.DataSource) -> bool:
    """Whether the source is a function that takes no seed."""
    if not isinstance(source, seqio.FunctionDataSource):
        return False
    return "seed" not in inspect.signature(source._dataset_fn).parameters


def _require_examples(task: seqio.Task, config: DatasetConfig, shard: seqio.ShardInfo) -> None:
    """An endless stream of nothing would wait forever."""
    one_epoch = task_examples(task, config, shard, num_epochs=1, shuffle=False)
    if next(iter(one_epoch.take(1)), None) is not None:
        return
    where = f"split {config.split!r} of task {task.name}"
    if shard.num_shards > 1:
        raise UserError(
            f"Data shard {shard.index} of {shard.num_shards} of the {where} has no examples: use "
            "fewer data shards (num_data_shards), or more text."
        )
    raise UserError(
        f"The {where} has no examples; are the files empty, or do the preprocessors drop all?"
    )


def seed_of(*parts: int | str) -> int:
    """A seed that is unrelated to that of any other parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
    # SeqIO counts up from it and must stay below 2**31.
    return int(digest[:8], 16) % 2**30
