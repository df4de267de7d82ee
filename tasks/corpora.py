"""Sources of running text: data sets of TFDS, and the first tokens of one."""

from collections.abc import Iterable, Mapping, Sequence

import seqio
import tensorflow as tf

from t5x_lite.data.source import Source
from t5x_lite.objectives import documents


class TfdsTexts(seqio.TfdsDataSource):
    """The texts of a TFDS data set as {"targets"}.

    Registering a task costs nothing: its splits are known without TFDS, which looks for the files
    when they are read and never builds a data set of terabytes by itself.
    """

    def __init__(self, name: str, splits: Iterable[str]) -> None:
        super().__init__(tfds_name=name, read_only=True)
        self._known_splits = tuple(splits)

    @property
    def splits(self) -> Sequence[str]:
        """Those of the data set; `train[:1%]` and the like are read as well."""
        return self._known_splits

    def get_dataset(self, *args: object, **kwargs: object) -> tf.data.Dataset:
        """The shard's texts.

        Raises:
            FileNotFoundError: TFDS has not prepared the data set.
        """
        self._check_prepared()
        texts = super().get_dataset(*args, **kwargs)
        return texts.map(lambda example: {"targets": example["text"]})

    def num_input_examples(self, split: str) -> int | None:
        """Documents of a split, as TFDS counts them."""
        self._check_prepared()
        return super().num_input_examples(split)

    def list_shards(self, split: str) -> Sequence[str]:
        """The files of a split."""
        self._check_prepared()
        return super().list_shards(split)

    def _check_prepared(self) -> None:
        loader = self.tfds_dataset
        if not loader.builder.is_prepared():
            raise FileNotFoundError(
                f"TFDS has no data set {loader.name} in {loader.builder.data_path.parent.parent}: "
                "name the folder that has it with --tfds_data_dir=DIR, or prepare it with "
                f"`tfds build {loader.name}` (C4 takes a cluster; see TFDS's page on it)."
            )


class FirstTokens(Source):
    """The first `num_tokens` tokens of another source's train split (Raffel et al. 2020, 3.4.2).

    Exactly so many, in the order of the files, whatever the number of data shards: each shard
    reads and tokenizes all of them and keeps every n-th document, and the last document is cut.
    So build a cache (seqio_cache_tasks) of the large ones. Other splits are whole.
    """

    def __init__(
        self, source: seqio.DataSource, vocabulary: seqio.Vocabulary, num_tokens: int
    ) -> None:
        super().__init__(splits=source.splits)
        self._source = source
        self._features = {"targets": seqio.Feature(vocabulary=vocabulary)}
        self._num_tokens = num_tokens

    def num_input_examples(self, split: str) -> int | None:
        """Not known before the tokens are counted."""
        del split
        return None

    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        """Tokenized documents {"targets"} in their order; the task's buffer shuffles."""
        del shuffle, seed
        texts = self._source.get_dataset(split=split, shuffle=False)
        tokenized = documents.tokenize(texts, self._features)
        if split == "train":
            tokenized = take_tokens(tokenized, self._num_tokens)
        if shard is not None:
            tokenized = tokenized.shard(shard.num_shards, shard.index)
        return tokenized


def take_tokens(dataset: tf.data.Dataset, num_tokens: int) -> tf.data.Dataset:
    """Documents {"targets"} until they hold so many tokens; the last is cut to fit."""

    @tf.autograph.experimental.do_not_convert
    def count(
        left: tf.Tensor, example: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        tokens = example["targets"][:left]
        return left - tf.size(tokens, tf.int64), (tokens, left > 0)

    counted = dataset.scan(tf.constant(num_tokens, tf.int64), count)
    wanted = counted.take_while(lambda tokens, is_wanted: is_wanted)
    return wanted.map(lambda tokens, is_wanted: {"targets": tokens})
