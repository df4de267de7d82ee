"""A question and a text with its answer to what an encoder reads at once (Devlin et al. 2019,
section 4.2); the text is given as words, of which the answer is some in a row.

    question        who sat ?
    words           the | black | cat | sat
    answer          1, 2                                       (the first and last of those words)
    inputs          [CLS] who sat ? [SEP] the black cat sat [SEP]
    token_types       0    0   0  0   0    1   1     1   1    1
    word_places      -1   -1  -1 -1  -1    0   1     2   3   -1
    spans           6, 7                                       (the same in `inputs`)

A text that does not fit is cut at its end; of an answer that is cut off nothing is learned.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import seqio
import tensorflow as tf
from jaxtyping import Float32

from t5x_lite.objectives import texts
from t5x_lite.objectives.texts import Example, Features, Framing, Lengths, mapped

QUESTION, WORDS, ANSWER, WORD_PLACES = "question", "words", "answer", "word_places"
# As in the released code: of a question, and of an answer that is looked for.
_MAX_QUESTION, _MAX_ANSWER = 64, 30
_WORD_OF = "word_of"


def output_features(vocabulary: seqio.Vocabulary | None = None) -> dict[str, seqio.Feature]:
    """The features of a task; of a vocabulary, or the default one."""
    features = texts.output_features(vocabulary=vocabulary)
    del features["values"]
    return features | {"spans": seqio.Feature(seqio.PassThroughVocabulary(0), add_eos=False)}


def tokenize(dataset: tf.data.Dataset, output_features: Features) -> tf.data.Dataset:
    """Preprocessor: the ids of the question and of all words, and of each of these its word."""
    vocabulary = output_features["inputs"].vocabulary

    def each(example: Example) -> Example:
        # A blank in front, as words have it within a text.
        words = vocabulary.encode_tf(tf.strings.join([" ", example[WORDS]]))
        return example | {
            "first": tf.cast(vocabulary.encode_tf(example[QUESTION]), tf.int32),
            "second": tf.cast(words.flat_values, tf.int32),
            _WORD_OF: tf.cast(words.value_rowids(), tf.int32),
            "inputs_pretokenized": tf.strings.join(
                [example[QUESTION], tf.strings.reduce_join(example[WORDS], separator=" ")],
                separator=" ",
            ),
        }

    return mapped(dataset, each)


def frame(
    dataset: tf.data.Dataset, sequence_length: Lengths, output_features: Features
) -> tf.data.Dataset:
    """Preprocessor: the features above; words, question and answer stay beside them.

    Raises:
        UserError: the vocabulary is none of an encoder, or the length leaves no room.
    """
    framing = Framing(sequence_length, output_features, is_pair=True)

    def each(example: Example) -> Example:
        found = dict(example)
        first, second, word_of = (found.pop(name) for name in ("first", "second", _WORD_OF))
        made = framing(first, second, cut=_text_only)
        kept, shown = _text_only(tf.size(first), tf.size(second), tf.constant(framing.capacity))
        begin = framing.begin_of_second(kept)
        behind = tf.size(made["inputs"]) - begin - shown
        places = tf.pad(word_of[:shown], [[begin, behind]], constant_values=-1)
        answer = tf.cast(found[ANSWER], tf.int32)
        token = tf.range(tf.size(word_of))
        first_token = tf.reduce_min(tf.where(word_of == answer[0], token, tf.size(word_of)))
        last_token = tf.reduce_max(tf.where(word_of == answer[1], token, -1))
        is_there = (answer[0] >= 0) & (last_token < shown)
        span = tf.where(is_there, tf.stack([first_token, last_token]) + begin, -1)
        return found | made | {"spans": span, WORD_PLACES: places}

    return mapped(dataset, each)


def _text_only(
    first: tf.Tensor, second: tf.Tensor, capacity: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """How much stays of a question, which is cut only if it is very long, and of the text."""
    kept = tf.minimum(tf.minimum(first, _MAX_QUESTION), tf.maximum(capacity // 2, 1))
    return kept, tf.minimum(second, capacity - kept)


def best(scores: Float32[np.ndarray, "length 2"], example: Mapping[str, Any]) -> tuple[int, int]:
    """The likeliest first and last position of an answer: whole words of the text, 30 tokens at
    most, the last not before the first.
    """
    is_text = np.asarray(example[WORD_PLACES])[: len(scores)] >= 0
    begins, ends = (np.where(is_text, scores[:, side], -np.inf) for side in (0, 1))
    found, place = -np.inf, (-1, -1)
    for distance in range(min(_MAX_ANSWER, len(scores))):
        sums = begins[: len(begins) - distance] + ends[distance:]
        first = int(np.argmax(sums))
        if sums[first] > found:
            found, place = sums[first], (first, first + distance)
    return place


def words_between(example: Mapping[str, Any], first: int, last: int) -> str:
    """The words from that of one position to that of another; none before the first position."""
    if first < 0:
        return ""
    places = np.asarray(example[WORD_PLACES])
    return " ".join(list(example[WORDS])[places[first] : places[last] + 1])
