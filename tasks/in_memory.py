"""A SeqIO source of examples that fit into memory and are made when first asked for."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import seqio
import tensorflow as tf


class InMemorySource(seqio.DataSource):
    """Examples of strings, in a fixed order, for any number of shards.

    Registering a task costs nothing: `load` runs when a split is counted or read.
    """

    def __init__(
        self, load: Callable[[str], Sequence[Mapping[str, str]]], splits: Iterable[str]
    ) -> None:
        super().__init__(splits=splits)
        self._load = functools.cache(load)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """Any number of shards."""
        return True

    def list_shards(self, split: str) -> Sequence[str]:
        """One: there are no files."""
        return [split]

    def num_input_examples(self, split: str) -> int:
        """Loads the split to count it."""
        return len(self._load(split))

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
        """The shard's examples in their order; the task's buffer shuffles."""
        del shuffle, seed, sequence_length, use_cached, num_epochs
        examples = self._load(split)
        if shard_info is not None:
            examples = examples[shard_info.index :: shard_info.num_shards]
        features = examples[0] if examples else self._load(split)[0]
        return tf.data.Dataset.from_tensor_slices(
            {name: tf.constant([e[name] for e in examples], tf.string) for name in features}
        )
