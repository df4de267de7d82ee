"""One text, or a pair of texts, to what an encoder reads at once; what is to be told of them stands
beside it (`classes`, `values`).

    first           the cat sat
    second          on a red mat
    inputs          [CLS] the cat sat [SEP] on a red mat [SEP]
    token_types       0    0   0   0    0    1 1  1   1    1

    seqio.TaskRegistry.add("my_task", preprocessors=[texts.tokenize, texts.frame],
                           output_features=texts.output_features(labels=("negative", "positive")))
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf

from t5x_lite.errors import UserError
from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.label_vocabulary import LabelVocabulary
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary, resolve

FIRST, SECOND = "first", "second"
Features = Mapping[str, seqio.Feature]
Lengths = Mapping[str, int] | None
Example = dict[str, Any]
# (numbers of tokens, how many fit) -> how many of each text stay.
Cut = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
_EVERYTHING = 2**30
_TOLD = {"classes": tf.int32, "values": tf.float32}


def output_features(
    *, labels: Sequence[str] | None = None, vocabulary: seqio.Vocabulary | None = None
) -> dict[str, seqio.Feature]:
    """The features of a task: its `classes` are those labels by their places, or without labels it
    has `values`; of a vocabulary, or the default one.
    """
    read = {
        "inputs": seqio.Feature(vocabulary or DefaultVocabulary(), add_eos=False),
        "token_types": seqio.Feature(seqio.PassThroughVocabulary(2), add_eos=False),
    }
    if labels is not None:
        return read | {"classes": seqio.Feature(LabelVocabulary(labels), add_eos=False)}
    number = seqio.PassThroughVocabulary(0)
    return read | {"values": seqio.Feature(number, add_eos=False, dtype=tf.float32)}


def tokenize(dataset: tf.data.Dataset, output_features: Features) -> tf.data.Dataset:
    """Preprocessor: the ids of `first` and, of a pair, of `second`; their strings stay beside them
    as `inputs_pretokenized`.
    """
    vocabulary = output_features["inputs"].vocabulary

    def each(example: Example) -> Example:
        texts = {name: example[name] for name in (FIRST, SECOND) if name in example}
        ids = {name: tf.cast(vocabulary.encode_tf(each), tf.int32) for name, each in texts.items()}
        shown = tf.strings.join(list(texts.values()), separator=" ")
        return example | ids | {"inputs_pretokenized": shown}

    return mapped(dataset, each)


def frame(
    dataset: tf.data.Dataset, sequence_length: Lengths, output_features: Features
) -> tf.data.Dataset:
    """Preprocessor: the ids above, with what stands around them, as `inputs` and `token_types`;
    `classes` and `values` may be single numbers.

    Texts that do not fit are cut at their ends: tokens go from the longer one until both are alike.

    Raises:
        UserError: the vocabulary is none of an encoder, or the length leaves no room.
    """
    is_pair = SECOND in dataset.element_spec
    framed = Framing(sequence_length, output_features, is_pair=is_pair)

    def each(example: Example) -> Example:
        found = dict(example)
        first, second = found.pop(FIRST), found.pop(SECOND, None)
        told = {
            name: tf.reshape(tf.cast(found[name], dtype), [1])
            for name, dtype in _TOLD.items()
            if name in found
        }
        return found | framed(first, second, cut=longest_first) | told

    return mapped(dataset, each)


class Framing:
    """What stands around texts by the template of their vocabulary, and how much of them fits.

    Args:
        sequence_length: of `inputs`; None cuts nothing.
    """

    def __init__(self, sequence_length: Lengths, output_features: Features, *, is_pair: bool):
        vocabulary = resolve(output_features["inputs"].vocabulary)
        if not isinstance(vocabulary, FolderVocabulary):
            raise UserError(
                f"{vocabulary} has no template of what stands around a text that an encoder reads; "
                "needed is an encoder's, such as `t5x_lite vocab --kind=wordpiece` makes: "
                "--gin.VOCABULARY=..."
            )
        tokenizer = vocabulary.tokenizer
        self._parts = tokenizer.template.parts(is_pair=is_pair)
        self._special, around = tokenizer.special, tokenizer.template.num_tokens(is_pair=is_pair)
        length = (sequence_length or {}).get("inputs", _EVERYTHING)
        self.capacity = length - around
        if self.capacity < 1 + is_pair:
            raise UserError(
                f"inputs of length {length} have no room for {1 + is_pair} texts and the {around} "
                "tokens around them: --gin.TASK_FEATURE_LENGTHS=..."
            )

    def __call__(self, first: tf.Tensor, second: tf.Tensor | None, *, cut: Cut) -> Example:
        """`inputs` and `token_types`."""
        texts = {"A": first[: self.capacity]}
        if second is not None:
            kept = cut(tf.size(first), tf.size(second), tf.constant(self.capacity))
            texts = {"A": first[: kept[0]], "B": second[: kept[1]]}
        ids, types = [], []
        for part in self._parts:
            own = texts[part.name] if part.is_text else [getattr(self._special, part.name)]
            ids.append(tf.cast(own, tf.int32))
            types.append(tf.fill([tf.size(own)], part.token_type))
        return {"inputs": tf.concat(ids, 0), "token_types": tf.concat(types, 0)}

    def begin_of_second(self, first: tf.Tensor) -> tf.Tensor:
        """The position in `inputs` of the second text behind a first of so many tokens."""
        names = [part.name for part in self._parts]
        before = self._parts[: names.index("B")]
        return first + sum(not part.is_text for part in before)

    def place_of_start(self, length: tf.Tensor) -> tf.Tensor:
        """Where in `inputs` of so many tokens the start token stands: at one of the ends."""
        return length - 1 if self._parts[-1].name == "start" else tf.zeros_like(length)


def longest_first(
    first: tf.Tensor, second: tf.Tensor, capacity: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """How much stays of two texts where token after token goes from the longer one."""
    shorter = tf.minimum(tf.minimum(first, second), capacity // 2)
    longer = tf.minimum(tf.maximum(first, second), capacity - shorter)
    # Of an odd number the second has one more, unless the first is the longer one.
    is_longer = first > second
    return tf.where(is_longer, longer, shorter), tf.where(is_longer, shorter, longer)


def mapped(dataset: tf.data.Dataset, each: Callable[[Example], Example]) -> tf.data.Dataset:
    """Each example on its own."""
    function = tf.autograph.experimental.do_not_convert(each)
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)
