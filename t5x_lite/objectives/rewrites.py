"""What a side sees of tokens and noise. Tokens a b c d e with noise on b c and e:

| rewrite            | result                                   |
|--------------------|------------------------------------------|
| keep_noise         | b c e                                    |
| drop_noise         | a d                                      |
| noise_to_sentinels | a <extra_id_0> d <extra_id_1>            |
| kept_to_sentinels  | <extra_id_0> b c <extra_id_1> e          |
| noise_to_mask      | a M M d M        (M is `<extra_id_0>`)   |
| noise_to_mask_or_random | the same, one in ten a random token |
| shuffle_noise      | a e b d c        for instance            |
| everything         | a b c d e                                |
"""

import seqio
import tensorflow as tf

from t5x_lite.objectives.segments import select

_NUM_SPECIAL = 3  # padding, end, unknown
_RANDOM_SHARE = 0.1


def everything(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """The tokens as they are."""
    del noise, vocabulary, seed
    return tokens


def keep_noise(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """Only the noise tokens."""
    del vocabulary, seed
    return select(tokens, noise)


def drop_noise(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """All tokens but the noise."""
    del vocabulary, seed
    return select(tokens, ~noise)


def noise_to_sentinels(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """Each run of noise becomes one sentinel: a row's first `<extra_id_0>`, the next another.

    A run more than the vocabulary has sentinels takes the piece below them, and so on: T5's rule.
    """
    del seed
    is_first = tf.scatter_nd(
        tokens.row_starts()[:, None],
        tf.ones_like(tokens.row_starts(), tf.int32),
        tf.shape(noise, tf.int64),
    )
    continues = tf.pad(noise[:-1], [[1, 0]]) & noise & (is_first == 0)
    starts = tf.cast(noise & ~continues, tokens.dtype)
    before_row = tf.gather(tf.cumsum(starts, exclusive=True), tokens.row_starts())
    in_row = tf.cumsum(starts) - tf.repeat(before_row, tokens.row_lengths())
    # The sentinels are the last ids, in reverse (SPEC of T5's vocabulary: <extra_id_0> is last).
    rewritten = tf.where(starts == 1, vocabulary.vocab_size - in_row, tokens.flat_values)
    return select(tokens.with_flat_values(rewritten), ~continues)


def kept_to_sentinels(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """Each run of tokens that are not noise becomes one sentinel: the answer to the above.

    Where a row starts with noise, its first tokens stand before the first sentinel, as in T5.
    """
    return noise_to_sentinels(tokens, ~noise, vocabulary, seed)


def noise_to_mask(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """Each noise token becomes the last id, `<extra_id_0>` (MASS; Song et al. 2019)."""
    del seed
    mask = tf.cast(vocabulary.vocab_size - 1, tokens.dtype)
    return tokens.with_flat_values(tf.where(noise, mask, tokens.flat_values))


def noise_to_mask_or_random(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """As above, but one noise token in ten becomes any token (BERT; Devlin et al. 2018)."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    shape = tf.shape(noise)
    is_random = noise & (tf.random.stateless_uniform(shape, seeds[0]) < _RANDOM_SHARE)
    random = tf.random.stateless_uniform(
        shape, seeds[1], minval=_NUM_SPECIAL, maxval=vocabulary.vocab_size, dtype=tokens.dtype
    )
    masked = noise_to_mask(tokens, noise, vocabulary, seed)
    return tokens.with_flat_values(tf.where(is_random, random, masked.flat_values))


def shuffle_noise(
    tokens: tf.RaggedTensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary, seed: tf.Tensor
) -> tf.RaggedTensor:
    """The noise tokens of a row change places among themselves, all orders equally likely."""
    del vocabulary
    places = tf.where(noise)[:, 0]
    rows = tf.cast(tf.gather(tokens.value_rowids(), places), tf.float64)
    # Sorted by row first, then by chance.
    order = tf.argsort(rows + tf.random.stateless_uniform(tf.shape(rows), seed, dtype=tf.float64))
    moved = tf.gather(tf.gather(tokens.flat_values, places), order)
    return tokens.with_flat_values(
        tf.tensor_scatter_nd_update(tokens.flat_values, places[:, None], moved)
    )
