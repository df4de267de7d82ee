"""Which tokens of a text are to be found again: a share of them, of each row by its own key.

Special tokens are never chosen. Counts are functions of a row's length, and only places are random.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from t5x_lite.objectives import keys, segments

_ORDER, _DRAW, _SIZE = range(100, 103)


class Texts(NamedTuple):
    """Rows of ids, special ones included; of each token, row after row in one vector, whether it is
    text and whether a word begins with it; and the key of each row.
    """

    ids: tf.RaggedTensor
    is_text: tf.Tensor
    begins_word: tf.Tensor
    keys: tf.Tensor


# (texts, the places of a full row) -> which tokens are chosen, row after row in one vector
Choice = Callable[[Texts, int], tf.Tensor]


def exactly(rate: float) -> Choice:
    """round(rate * length) tokens, at least one, all sets of them equally likely (Devlin et al.
    2018, section 3.1).
    """

    def choose(texts: Texts, full: int) -> tf.Tensor:
        del full
        wanted = tf.minimum(_budget(texts, rate), _sums(texts, texts.is_text))
        draws = keys.uniform(keys.of_places(texts.ids, texts.keys), _ORDER)
        return _lowest(texts.ids, tf.where(texts.is_text, draws, 2.0), wanted)

    return choose


def drawn(rate: float) -> Choice:
    """round(rate * length) draws, at least one, each of any token; what is drawn twice is chosen
    once (Clark et al. 2020, after their code).
    """

    def choose(texts: Texts, full: int) -> tf.Tensor:
        count = _sums(texts, texts.is_text)
        # Rows that are longer than the rate allows for do not occur, but for rounding.
        wanted = tf.minimum(_budget(texts, rate), int((rate + 0.005) * full))
        wanted = tf.where(count > 0, tf.maximum(wanted, 1), 0)
        draws = segments.ragged(tf.zeros([tf.reduce_sum(wanted)], tf.int32), wanted)
        each = keys.of_places(draws, texts.keys)
        number = keys.below(tf.repeat(count, wanted), each, _DRAW)
        before = tf.cumsum(count, exclusive=True)
        place = tf.gather(tf.where(texts.is_text), tf.repeat(before, wanted) + number)
        hits = tf.scatter_nd(place, tf.ones_like(number), tf.shape(texts.is_text, tf.int64))
        return hits > 0

    return choose


def ngrams(rate: float, *, longest: int = 3) -> Choice:
    """Words, one to `longest` at a time, n of them with a probability in proportion to 1/n, until
    round(rate * length) tokens are chosen (Lan et al. 2019, section 3.1, after their code: places
    come in a random order; what would be too much is tried with fewer words, what overlaps is not).
    """

    def choose(texts: Texts, full: int) -> tf.Tensor:
        del full
        budget = tf.minimum(_budget(texts, rate), _sums(texts, texts.is_text))
        begins = _word_begins(texts)
        words = _words(texts, begins)
        chosen = _choose_words(words, budget, texts.keys, longest)
        # Behind each token that is text the word it is of.
        rows = texts.ids.value_rowids()
        number = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        before = tf.cumsum(words.row_lengths(), exclusive=True)
        place = tf.maximum(number - tf.gather(before, rows), 0)
        width = tf.shape(chosen, tf.int64)[1]
        flat = tf.reshape(tf.pad(chosen, [[0, 0], [0, 1]]), [-1])
        return texts.is_text & tf.gather(flat, rows * (width + 1) + tf.minimum(place, width))

    return choose


def _budget(texts: Texts, rate: float) -> tf.Tensor:
    lengths = tf.cast(texts.ids.row_lengths(), tf.float64)
    return tf.maximum(tf.cast(tf.round(lengths * rate), tf.int64), 1)


def _sums(texts: Texts, values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(texts.ids.with_flat_values(tf.cast(values, tf.int64)), axis=1)


def _lowest(rows: tf.RaggedTensor, draws: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Of each row the tokens with the lowest draws, as many as wanted."""
    # Sorted by row first: a draw is below 3.
    order = tf.argsort(3.0 * tf.cast(rows.value_rowids(), tf.float64) + draws)
    is_low = segments.places(rows) < tf.repeat(wanted, rows.row_lengths())
    return tf.scatter_nd(order[:, None], tf.cast(is_low, tf.int32), tf.shape(order)) > 0


def _word_begins(texts: Texts) -> tf.Tensor:
    """Where words begin: also behind what is no text."""
    behind = tf.concat([[True], ~texts.is_text[:-1]], 0)[: tf.size(texts.is_text)]
    return texts.is_text & (texts.begins_word | behind | (segments.places(texts.ids) == 0))


def _words(texts: Texts, begins: tf.Tensor) -> tf.RaggedTensor:
    """[rows, (words)]: how many tokens each has."""
    number = tf.cumsum(tf.cast(begins, tf.int64))
    size = tf.reduce_sum(tf.cast(begins, tf.int64))
    inside = tf.boolean_mask(number, texts.is_text) - 1
    lengths = tf.math.unsorted_segment_sum(tf.ones_like(inside), inside, size)
    return segments.ragged(lengths, _sums(texts, begins))


def _choose_words(
    words: tf.RaggedTensor, budget: tf.Tensor, row_keys: tf.Tensor, longest: int
) -> tf.Tensor:
    """bool[rows, words]: all rows at once, the next place of each in turn."""
    each = keys.of_places(words, row_keys)
    rank = words.with_flat_values(keys.uniform(each, _ORDER)).to_tensor(2.0)
    order = tf.cast(tf.argsort(rank, axis=1), tf.int64)
    count = words.row_lengths()
    sizes = words.to_tensor(0)
    # Tokens before each word, and before those that are none any more.
    ends = tf.cumsum(tf.pad(sizes, [[0, 0], [1, longest]]), axis=1)
    left = tf.repeat(count, count) - segments.places(words)
    drawn_sizes = words.with_flat_values(
        _size(tf.minimum(left, longest), keys.uniform(each, _SIZE))
    ).to_tensor(0)
    width = tf.shape(sizes, tf.int64)[1]
    index = tf.range(width)

    def step(
        turn: tf.Tensor, taken: tf.Tensor, covered: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        word = order[:, turn]
        size = tf.gather(drawn_sizes, word, batch_dims=1)
        begin = tf.gather(ends, word, batch_dims=1)
        best, cost = tf.zeros_like(size), tf.zeros_like(taken)
        for number in range(1, longest + 1):
            tokens = tf.gather(ends, word + number, batch_dims=1) - begin
            fits = (number <= size) & (taken + tokens <= budget)
            best = tf.where(fits, tf.constant(number, tf.int64), best)
            cost = tf.where(fits, tokens, cost)
        new = (index >= word[:, None]) & (index < (word + best)[:, None])
        is_free = (turn < count) & ~tf.reduce_any(new & covered, axis=1)
        return (
            turn + 1,
            taken + cost * tf.cast(is_free, tf.int64),
            covered | (new & is_free[:, None]),
        )

    _, _, covered = tf.while_loop(
        lambda turn, taken, _: (turn < width) & tf.reduce_any(taken < budget),
        step,
        (tf.constant(0, tf.int64), tf.zeros_like(budget), tf.zeros_like(sizes, tf.bool)),
    )
    return covered


def _size(most: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """1 to `most` words, n of them with a probability in proportion to 1/n."""
    sums = tf.concat(
        [
            [0.0],
            tf.cumsum(
                1.0
                / tf.range(1.0, tf.cast(tf.reduce_max(most), tf.float64) + 1.0, dtype=tf.float64)
            ),
        ],
        0,
    )
    return 1 + tf.searchsorted(
        sums[1:], draws * tf.gather(sums, most), side="right", out_type=tf.int64
    )
