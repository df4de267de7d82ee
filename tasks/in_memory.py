"""A SeqIO source of examples that fit into memory and are made when first asked for."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import seqio
import tensorflow as tf

from t5x_lite.data.source import Source


class InMemorySource(Source):
    """Examples of strings, in a fixed order, for any number of shards.

    Registering a task costs nothing: `load` runs when a split is counted or read.
    """

    def __init__(
        self, load: Callable[[str], Sequence[Mapping[str, str]]], splits: Iterable[str]
    ) -> None:
        super().__init__(splits=splits)
        self._load = functools.cache(load)

    def num_input_examples(self, split: str) -> int:
        """Loads the split to count it."""
        return len(self._load(split))

    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        """The shard's examples in their order; the task's buffer shuffles."""
        del shuffle, seed
        examples = self._load(split)
        if shard is not None:
            examples = examples[shard.index :: shard.num_shards]
        features = examples[0] if examples else self._load(split)[0]
        return tf.data.Dataset.from_tensor_slices(
            {name: tf.constant([e[name] for e in examples], tf.string) for name in features}
        )
