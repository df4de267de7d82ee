"""Sentences to what an encoder reads at once: full sentences, one after another, or two segments of
one document, of which a class tells how they belong together.

Where a chunk begins decides where the next one does, so all of a group follow from the documents'
beginnings by jumps; what is random is a function of the key of the sentence it begins with.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from t5x_lite.objectives import keys, segments
from t5x_lite.text.template import Part

_SHORT, _SHORT_LENGTH, _BORDER, _IS_OTHER, _OTHER, _OTHER_BEGIN, _FRONTS = range(7)
_SHARE_OF_SHORT = 0.1


class Sentences(NamedTuple):
    """[sentences, (ids)], none of them empty, and of each its document, in their order."""

    tokens: tf.RaggedTensor
    document: tf.Tensor


class Chunks(NamedTuple):
    """What is read at once: a text each, or a pair with its class, and the key of each."""

    first: tf.RaggedTensor
    second: tf.RaggedTensor | None
    classes: tf.Tensor | None
    keys: tf.Tensor


# (sentences, the key of each document, tokens of text that fit, a token between documents)
MakeChunks = Callable[[Sentences, tf.Tensor, int, int], Chunks]


def full_sentences(
    sentences: Sentences, document_keys: tf.Tensor, capacity: int, separator: int
) -> Chunks:
    """As many whole sentences as fit, across documents, between which a separator stands (Liu et
    al. 2019, section 4.2). A longer sentence is cut.
    """
    tokens, document = _cut(sentences, capacity - 1)
    is_last = tf.concat([document[1:] != document[:-1], [False]], 0)[: tf.size(document)]
    ends = segments.ragged(
        tf.fill([tf.reduce_sum(tf.cast(is_last, tf.int64))], tf.cast(separator, tokens.dtype)),
        tf.cast(is_last, tf.int64),
    )
    tokens = tf.concat([tokens, ends], axis=1)
    splits, begins = tokens.row_splits, tokens.row_starts()
    following = tf.searchsorted(splits, begins + capacity, side="right", out_type=tf.int64) - 1
    is_first = tf.range(tf.size(following)) == 0
    begin = tf.boolean_mask(tf.range(tf.size(following)), _reached(following, is_first))
    end = tf.gather(following, begin)
    # A separator at the end of a chunk would stand beside the end of its template.
    stop = tf.gather(splits, end) - tf.cast(tf.gather(is_last, end - 1), tf.int64)
    own = tf.gather(document, begin)
    place = begin - tf.searchsorted(document, own)  # in its document
    key = keys.derived(tf.gather(document_keys, own), place)
    return Chunks(_rows(tokens.flat_values, tf.gather(begins, begin), stop), None, None, key)


def next_sentence(
    sentences: Sentences, document_keys: tf.Tensor, capacity: int, separator: int
) -> Chunks:
    """Two segments; class 1, half of them, where the second is of another document (Devlin et al.
    2018, appendix A.2, after its code: what a random segment replaces begins the next chunk).
    """
    del separator
    around = _Around(sentences, document_keys, capacity)
    has_other = around.num_documents > 1
    is_lone = around.num_sentences == 1
    is_other = has_other & (is_lone | (keys.uniform(around.key, _IS_OTHER) < 0.5))
    other = keys.below(tf.maximum(around.num_documents - 1, 1), around.key, _OTHER)
    other += tf.cast(other >= around.document, tf.int64)
    other = tf.minimum(other, around.num_documents - 1)
    choices = tf.gather(around.document_sizes, other)
    begin = tf.gather(around.document_begins, other)
    begin += keys.below(choices, around.key, _OTHER_BEGIN)
    needed = tf.maximum(around.target - (around.tokens_until(around.border) - around.begins), 1)
    stop = around.filled(begin, needed)
    following = tf.where(is_other, around.border, around.stop)
    kept = _reached(following, around.is_first) & (is_other | ~is_lone)
    second = tf.where(is_other, begin, around.border), tf.where(is_other, stop, around.stop)
    return around.chunks(kept, second, tf.cast(is_other, tf.int32), swapped=tf.zeros_like(kept))


def sentence_order(
    sentences: Sentences, document_keys: tf.Tensor, capacity: int, separator: int
) -> Chunks:
    """Two segments that follow each other; class 1, half of them, where they are swapped (Lan et
    al. 2019, section 3.1). Chunks of a single sentence, which has no order, are left out.
    """
    del separator
    around = _Around(sentences, document_keys, capacity)
    swapped = keys.uniform(around.key, _IS_OTHER) < 0.5
    kept = _reached(around.stop, around.is_first) & (around.num_sentences > 1)
    second = around.border, around.stop
    return around.chunks(kept, second, tf.cast(swapped, tf.int32), swapped=swapped)


class _Around:
    """Of each sentence what a chunk that begins with it has: sentences until as many tokens as
    wanted are there or the document ends, and a border between two of them.
    """

    def __init__(self, sentences: Sentences, document_keys: tf.Tensor, capacity: int):
        self.tokens, document = sentences
        # Documents without a sentence have no number here.
        names, self.document, sizes = tf.unique_with_counts(document, out_idx=tf.int64)
        self.num_documents = tf.size(names, tf.int64)
        self.document_sizes = tf.cast(sizes, tf.int64)
        self.document_begins = tf.cumsum(self.document_sizes, exclusive=True)
        self.index = tf.range(self.tokens.nrows())
        self.begins = self.tokens.row_starts()
        own_begin = tf.gather(self.document_begins, self.document)
        self.document_end = own_begin + tf.gather(self.document_sizes, self.document)
        self.is_first = self.index == own_begin
        own_key = tf.gather(document_keys, document)
        self.key = keys.derived(own_key, self.index - own_begin)
        short = 2 + keys.below(capacity - 1, self.key, _SHORT_LENGTH)
        is_short = keys.uniform(self.key, _SHORT) < _SHARE_OF_SHORT
        self.capacity = capacity
        self.target = tf.where(is_short, short, capacity)
        self.stop = self.filled(self.index, self.target)
        self.num_sentences = self.stop - self.index
        more = keys.below(tf.maximum(self.num_sentences - 1, 1), self.key, _BORDER)
        self.border = self.index + 1 + more

    def filled(self, begin: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        """Behind which sentence so many tokens are there, or the document ends."""
        splits = self.tokens.row_splits
        tokens = tf.gather(self.begins, begin) + tf.cast(wanted, tf.int64)
        enough = tf.searchsorted(splits, tokens, side="left", out_type=tf.int64)
        return tf.minimum(enough, tf.gather(self.document_end, begin))

    def tokens_until(self, sentence: tf.Tensor) -> tf.Tensor:
        """How many tokens stand before it."""
        return tf.gather(self.tokens.row_splits, sentence)

    def chunks(
        self,
        kept: tf.Tensor,
        second: tuple[tf.Tensor, tf.Tensor],
        classes: tf.Tensor,
        *,
        swapped: tf.Tensor,
    ) -> Chunks:
        """Those that are kept, cut to what fits: from the longer segment, at either end."""
        first = self.begins, self.tokens_until(self.border)
        second = self.tokens_until(second[0]), self.tokens_until(second[1])
        one, two = (
            [tf.boolean_mask(tf.where(turned, other, own), kept) for own, other in zip(a, b)]
            for a, b, turned in ((first, second, swapped), (second, first, swapped))
        )
        key = tf.boolean_mask(self.key, kept)
        one, two = _fitting(one, two, self.capacity, key)
        values = self.tokens.flat_values
        return Chunks(_rows(values, *one), _rows(values, *two), tf.boolean_mask(classes, kept), key)


def frame(
    parts: tuple[Part, ...], tokens: dict[str, int], chunks: Chunks
) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Ids and token types of chunks with what stands around them.

    Args:
        parts: of the template of one text or a pair.
        tokens: the id of each name that is no text.
    """
    texts = {"A": chunks.first, "B": chunks.second}
    ids, types = [], []
    for part in parts:
        if part.is_text:
            rows = texts[part.name]
        else:
            column = tf.fill([chunks.first.nrows(), 1], tf.cast(tokens[part.name], tf.int32))
            rows = tf.RaggedTensor.from_tensor(column, row_splits_dtype=tf.int64)
        ids.append(rows)
        types.append(rows.with_flat_values(tf.fill(tf.shape(rows.flat_values), part.token_type)))
    return tf.concat(ids, axis=1), tf.concat(types, axis=1)


def before(rows: tf.RaggedTensor, most: int) -> tf.RaggedTensor:
    """Of each row the last tokens of all rows before it, up to `most`."""
    stop = rows.row_starts()
    return _rows(rows.flat_values, tf.maximum(stop - most, 0), stop)


def _cut(sentences: Sentences, most: int) -> Sentences:
    """Longer sentences as several."""
    counts = -(-sentences.tokens.row_lengths() // most)
    tokens = segments.split(sentences.tokens, max_tokens=most)
    return Sentences(tokens, tf.repeat(sentences.document, counts))


def _reached(following: tf.Tensor, is_first: tf.Tensor) -> tf.Tensor:
    """Where chunks begin: at the first ones, and wherever one follows another."""
    size = tf.size(following)
    # The end follows itself.
    jump = tf.concat([tf.cast(following, tf.int64), tf.cast(size, tf.int64)[None]], 0)
    reached = tf.concat([is_first, [False]], 0)

    def step(reached: tf.Tensor, jump: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        landed = tf.boolean_mask(jump, reached)[:, None]
        hits = tf.scatter_nd(landed, tf.ones_like(landed[:, 0]), tf.shape(jump, tf.int64))
        return reached | (hits > 0), tf.gather(jump, jump)

    # Twice as far in each turn, until all are at the end.
    reached, _ = tf.while_loop(
        lambda _, jump: tf.reduce_any(jump < tf.cast(size, tf.int64)), step, (reached, jump)
    )
    return reached[:-1]


def _rows(values: tf.Tensor, begin: tf.Tensor, stop: tf.Tensor) -> tf.RaggedTensor:
    """The values from each begin to its stop."""
    places = tf.ragged.range(begin, stop, row_splits_dtype=tf.int64)
    return places.with_values(tf.cast(tf.gather(values, places.values), tf.int32))


def _fitting(
    one: list[tf.Tensor], two: list[tf.Tensor], capacity: int, key: tf.Tensor
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Token after token goes from the longer one, of equal ones from the second."""
    lengths = one[1] - one[0], two[1] - two[0]
    excess = tf.maximum(lengths[0] + lengths[1] - capacity, 0)
    difference = lengths[0] - lengths[1]
    uneven = tf.minimum(excess, tf.abs(difference))
    rest = excess - uneven
    from_first = tf.where(difference > 0, uneven, tf.zeros_like(uneven))
    removed = from_first + rest // 2, uneven - from_first + (rest + 1) // 2
    fitted = []
    for number, (span, gone) in enumerate(zip((one, two), removed, strict=True)):
        draws = segments.ragged(tf.zeros([tf.reduce_sum(gone)], tf.int32), gone)
        coins = keys.uniform(keys.of_places(draws, keys.derived(key, _FRONTS)), number) < 0.5
        front = tf.reduce_sum(draws.with_flat_values(tf.cast(coins, tf.int64)), axis=1)
        fitted.append([span[0] + front, span[1] - (gone - front)])
    return fitted[0], fitted[1]
