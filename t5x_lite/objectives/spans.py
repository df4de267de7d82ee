"""A question and a text with its answer to what an encoder reads at once (Devlin et al. 2019,
section 4.2); the text is given as words, of which the answer is some in a row.

    question        who sat ?
    words           the | black | cat | sat
    answer          1, 2                                       (the first and last of those words)
    inputs          [CLS] who sat ? [SEP] the black cat sat [SEP]
    token_types       0    0   0  0   0    1   1     1   1    1
    word_places      -1   -1  -1 -1  -1    0   1     2   3   -1
    spans           6, 7                                       (the same in `inputs`)

A text that does not fit is read in windows, an example each, which begin a stride of tokens after
one another (`window_begin`, among the tokens of the text). The span of a window without the whole
answer is the start token, as in the released code. Who answers looks at all windows of a question.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf
from jaxtyping import Bool, Float32

from t5x_lite.objectives import texts
from t5x_lite.objectives.texts import Example, Features, Framing, Lengths, mapped

QUESTION, WORDS, ANSWER, WORD_PLACES = "question", "words", "answer", "word_places"
WINDOW_BEGIN, WINDOWS = "window_begin", "windows"
# As in the released code: of a question, of an answer that is looked for, and between windows,
# which are no further apart than half of what they show.
_MAX_QUESTION, _MAX_ANSWER, _MAX_STRIDE = 64, 30, 128
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
    """Preprocessor: the features above of each window; words, question and answer stay beside them.

    Raises:
        UserError: the vocabulary is none of an encoder, or the length leaves no room.
    """
    framing = Framing(sequence_length, output_features, is_pair=True)

    def windows(example: Example) -> tf.data.Dataset:
        size = tf.size(example["second"])
        kept, _ = _text_only(tf.size(example["first"]), size, tf.constant(framing.capacity))
        room = framing.capacity - kept
        stride = tf.minimum(_MAX_STRIDE, (room + 1) // 2)
        behind = (tf.maximum(size - room, 0) + stride - 1) // stride
        begins = tf.data.Dataset.from_tensor_slices(stride * tf.range(1 + behind))
        return begins.map(lambda begin: example | {WINDOW_BEGIN: begin})

    def each(example: Example) -> Example:
        found = dict(example)
        first, second, word_of = (found.pop(name) for name in ("first", "second", _WORD_OF))
        token = tf.range(tf.size(word_of)) - found[WINDOW_BEGIN]
        second = second[found[WINDOW_BEGIN] :]
        made = framing(first, second, cut=_text_only)
        kept, shown = _text_only(tf.size(first), tf.size(second), tf.constant(framing.capacity))
        begin = framing.begin_of_second(kept)
        behind = tf.size(made["inputs"]) - begin - shown
        places = tf.boolean_mask(word_of, (token >= 0) & (token < shown))
        places = tf.pad(places, [[begin, behind]], constant_values=-1)
        answer = tf.cast(found[ANSWER], tf.int32)
        first_token = tf.reduce_min(tf.where(word_of == answer[0], token, token.dtype.max))
        last_token = tf.reduce_max(tf.where(word_of == answer[1], token, token.dtype.min))
        is_there = (first_token >= 0) & (last_token < shown)
        elsewhere = tf.fill([2], framing.place_of_start(tf.size(made["inputs"])))
        span = tf.where(is_there, tf.stack([first_token, last_token]) + begin, elsewhere)
        return found | made | {"spans": tf.where(answer[0] >= 0, span, -1), WORD_PLACES: places}

    return mapped(dataset.flat_map(tf.autograph.experimental.do_not_convert(windows)), each)


def _text_only(
    first: tf.Tensor, second: tf.Tensor, capacity: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """How much stays of a question, which is cut only if it is very long, and of the text."""
    kept = tf.minimum(tf.minimum(first, _MAX_QUESTION), tf.maximum(capacity // 2, 1))
    return kept, tf.minimum(second, capacity - kept)


def questions(windows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Of examples in their order one for each question: its first window, which has all of them,
    the first included, as `windows`.
    """
    found: list[Mapping[str, Any]] = []
    for window in windows:
        if found and int(window.get(WINDOW_BEGIN, 0)) == 0:
            yield {**found[0], WINDOWS: found}
            found = []
        found.append(window)
    if found:
        yield {**found[0], WINDOWS: found}


def best(
    scores: Sequence[Float32[np.ndarray, "_length 2"]], windows: Sequence[Mapping[str, Any]]
) -> tuple[int, int, int]:
    """The likeliest answer of a question's windows: which of them, and the first and last position
    there. An answer is whole words of the text, 30 tokens at most, the last not before the first;
    it begins with a token that has nowhere more context than in its window.
    """
    found, place = -np.inf, (0, -1, -1)
    for number, (own, window, is_widest) in enumerate(
        zip(scores, windows, _with_most_context(windows), strict=True)
    ):
        is_text = np.asarray(window[WORD_PLACES])[: len(own)] >= 0
        begins, ends = (np.where(is_text, own[:, side], -np.inf) for side in (0, 1))
        begins = np.where(is_widest[: len(own)], begins, -np.inf)
        for distance in range(min(_MAX_ANSWER, len(own))):
            sums = begins[: len(begins) - distance] + ends[distance:]
            first = int(np.argmax(sums))
            if sums[first] > found:
                found, place = sums[first], (number, first, first + distance)
    return place


def _with_most_context(windows: Sequence[Mapping[str, Any]]) -> list[Bool[np.ndarray, " _length"]]:
    """Of each position of each window whether its token of the text has nowhere more context, which
    is how many tokens stand on the side that has fewer; of equals the first window counts.
    """
    ranks, tokens = [], []
    for number, window in enumerate(windows):
        is_text = np.asarray(window[WORD_PLACES]) >= 0
        before = np.cumsum(is_text) - 1
        context = np.minimum(before, is_text.sum() - 1 - before)
        ranks.append(np.where(is_text, (context + 1) * len(windows) - number, -1))
        tokens.append(np.maximum(before, 0) + int(window.get(WINDOW_BEGIN, 0)))
    highest = np.zeros(1 + max(int(each.max()) for each in tokens), int)
    np.maximum.at(highest, np.concatenate(tokens), np.concatenate(ranks))
    return [own == highest[token] for own, token in zip(ranks, tokens, strict=True)]


def words_between(example: Mapping[str, Any], first: int, last: int) -> str:
    """The words from that of one position to that of another; none before the first position."""
    if first < 0:
        return ""
    places = np.asarray(example[WORD_PLACES])
    return " ".join(list(example[WORDS])[places[first] : places[last] + 1])
