"""Where downstream tasks read: TensorFlow Datasets, or a folder of the original files.

Both give examples with the same features, so that a task has one format for both.
"""

from collections.abc import Iterable, Mapping, Sequence

import seqio
import tensorflow as tf


class DownstreamSource(seqio.DataSource):
    """A data set of TFDS. Its splits are stated, so that asking for them needs no download.

    Args:
        tfds_name: with its version, which decides what the examples are.
        splits: those of TFDS.
    """

    def __init__(self, tfds_name: str, splits: Iterable[str]) -> None:
        super().__init__(splits=splits)
        # Without splits of its own, so that slices (`train[:90%]`) reach TFDS too.
        self._tfds = seqio.TfdsDataSource(tfds_name)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """By file only: TFDS reads whole files."""
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        """The files of TFDS."""
        return self._tfds.list_shards(split)

    def num_input_examples(self, split: str) -> int | None:
        """As TFDS has counted them."""
        return self._tfds.num_input_examples(split)

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
        """Examples with the features that the builder documents."""
        del sequence_length, use_cached, num_epochs
        return self._tfds.get_dataset(split, shuffle=shuffle, seed=seed, shard_info=shard_info)
