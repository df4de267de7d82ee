"""One shard of a task's cache: a share of the source's records, the preprocessors that stand before
the placeholder, and a file of tf.train.Example as SeqIO's caches have it.

The bytes are a function of the task, the seed, the shard and the number of shards alone, whichever
process writes them and however often it is killed.
"""

import contextlib
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Iterator

import seqio
import tensorflow as tf
from etils import epath

from t5x_lite import storage
from t5x_lite.data import cache_examples, streams
from t5x_lite.data.cache_examples import Counts
from t5x_lite.data.worker_processes import Report
from t5x_lite.errors import UserError

_SECONDS_BETWEEN_REPORTS = 0.5
# What tf.data may hold for its own parallel calls and buffers.
_BUFFER_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file to write: `folder` is the task's own in the cache.

    Args:
        threads: of TensorFlow, for this shard.
    """

    folder: str
    task: str
    split: str
    index: int
    num_shards: int
    seed: int
    threads: int

    @property
    def path(self) -> epath.Path:
        """The file, which is there once it is whole."""
        prefix = seqio.get_cached_tfrecord_prefix(self.folder, self.split)
        return epath.Path(f"{prefix}-{self.index:05}-of-{self.num_shards:05}")

    @property
    def counts_path(self) -> epath.Path:
        """What is in the file, there before it."""
        return unfinished(self.folder) / f"{self.path.name}.json"


def unfinished(folder: epath.PathLike) -> epath.Path:
    """Where a task's folder keeps what goes when its cache is complete."""
    return epath.Path(folder) / "unfinished"


def read_counts(shard: Shard) -> Counts:
    """Those of a finished shard."""
    return Counts(**json.loads(shard.counts_path.read_text()))


def write_shard(shard: Shard, report: Report) -> Counts:
    """Writes the file of a shard, which is there whole or not at all, in a process that does
    nothing else with TensorFlow: its random operations, a `shuffle` without a seed too, draw from
    the seed of the shard, and those that keep state are called one after the other.

    Raises:
        UserError: the disk takes no more, or an example is one that SeqIO could not read back.
    """
    tf.config.experimental.enable_op_determinism()
    task = seqio.TaskRegistry.get(shard.task)
    dataset = _examples(task, shard)
    encoders = cache_examples.encoders(task.name, dataset.element_spec)
    counter = cache_examples.Counter(task, dataset.element_spec)
    partial = _partial(shard)
    reported, spoke = 0, time.monotonic()
    try:
        with _room(shard):
            writer = tf.io.TFRecordWriter(partial)
        for tensors in dataset:
            example = cache_examples.values(tensors)
            record = cache_examples.record(example, encoders)
            with _room(shard):
                writer.write(record)
            counter.count(example)
            if (now := time.monotonic()) - spoke >= _SECONDS_BETWEEN_REPORTS:
                report(counter.counts.examples - reported)
                reported, spoke = counter.counts.examples, now
        with _room(shard):
            writer.close()
            _publish(partial, shard, counter.counts)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    report(counter.counts.examples - reported)
    return counter.counts


def _examples(task: seqio.Task, shard: Shard) -> tf.data.Dataset:
    """This share of the records, preprocessed up to the placeholder."""
    source, split = task.source, shard.split
    groups = shard.num_shards
    if not source.supports_arbitrary_sharding:
        groups = _largest_divisor(shard.num_shards, most=len(source.list_shards(split)))
    # All shards have to agree on the order of the records that they share.
    order = streams.seed_of(shard.seed, task.name, split)
    tf.random.set_seed(order)
    group = seqio.ShardInfo(shard.index % groups, groups)
    dataset = streams.read_in_one_order(source, group, seed=order).get_dataset(split, shuffle=False)
    if groups < shard.num_shards:
        dataset = dataset.shard(shard.num_shards // groups, shard.index // groups)
    own = streams.seed_of(shard.seed, task.name, split, shard.index)
    tf.random.set_seed(own)
    dataset = task.preprocess_precache(dataset, seed=own)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = shard.threads
    options.autotune.ram_budget = _BUFFER_BYTES
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _largest_divisor(number: int, *, most: int) -> int:
    return next(d for d in range(max(min(most, number), 1), 0, -1) if number % d == 0)


# Files.


def _partial(shard: Shard) -> str:
    """A local file that is this process's alone."""
    if storage.is_remote(shard.folder):
        handle, path = tempfile.mkstemp(prefix=shard.path.name)
        os.close(handle)
        return path
    return str(unfinished(shard.folder) / f"{shard.path.name}.{os.getpid()}")


def _publish(partial: str, shard: Shard, counts: Counts) -> None:
    content = json.dumps(dataclasses.asdict(counts)).encode()
    storage.write_whole(shard.counts_path, content)
    if storage.is_remote(shard.folder):
        with storage.answering(shard.path):
            epath.Path(partial).copy(shard.path, overwrite=True)
        return
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.rename(partial, shard.path)


@contextlib.contextmanager
def _room(shard: Shard) -> Iterator[None]:
    """Inside, files are written."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise UserError(
            f"{shard.path} could not be written: {str(error).splitlines()[0]}. Make room, then run "
            "the same command again: shards that are finished stay."
        ) from error
