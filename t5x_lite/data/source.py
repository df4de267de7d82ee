"""What is common to the sources of our own that SeqIO reads."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf


class Source(seqio.DataSource):
    """A source whose subclasses say what is read; as it stands here, one without files, of which
    any number of shards can be had.

    SeqIO hands all sources lengths, caching and epochs as well, which the task sees to itself.
    """

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """Any number of shards."""
        return True

    def description(self) -> Mapping[str, Any]:
        """What tells it from another source that a task of the same name may have, in values of
        JSON: examples that were cached of the one are not the other's.
        """
        return {}

    def check(self, split: str) -> None:
        """Finds what is wrong with the examples of a split, where all of them are kept in memory
        anyway: within tf.data an error is said by TensorFlow as well, at length.
        """

    def list_shards(self, split: str) -> Sequence[str]:
        """One: there are no files to go by."""
        return [split]

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: Mapping[str, int] | None = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """As SeqIO asks for it; see `read`."""
        del sequence_length, use_cached, num_epochs
        return self.read(split, shuffle=shuffle, seed=seed, shard=shard_info)

    @abc.abstractmethod
    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        """The examples of a split, or of one shard of it; `shuffle` may be ignored by sources
        whose order is fixed, as the task's buffer shuffles.
        """
