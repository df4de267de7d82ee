"""In which order an encoder is told the tokens of a text: their ranks, from 1 on; equal ones see
each other, and all see what is below.

    text    the  cat  sat   on    a  red  mat  [SEP]
    chosen              x               x
    ranks     1    1    8    1    1    7    1    6
"""

from collections.abc import Callable

import tensorflow as tf

from t5x_lite.objectives import keys, segments
from t5x_lite.objectives.choices import Texts

_RANK = 300

# (texts, which tokens are chosen) -> ranks, both row after row in one vector
Order = Callable[[Texts, tf.Tensor], tf.Tensor]


def permuted(block: int) -> Order:
    """Blocks of so many tokens from left to right; of each first all that is shown, at once, then
    what is chosen, and special tokens, one after another in a random order (Yang et al. 2019,
    section 2.2, after their code).
    """

    def ranks(texts: Texts, chosen: tf.Tensor) -> tf.Tensor:
        number = segments.places(texts.ids) // block
        is_late = chosen | ~texts.is_text
        draws = keys.uniform(keys.of_places(texts.ids, texts.keys), _RANK)
        # By row, block, whether it is late and draw, of which each is below 1 of the one before.
        blocks = tf.reduce_max(tf.pad(number, [[0, 1]])) + 1
        group = (texts.ids.value_rowids() * blocks + number) * 2 + tf.cast(is_late, tf.int64)
        sorted_by = tf.argsort(tf.cast(group, tf.float64) + draws)
        count = tf.size(sorted_by)
        turn = tf.scatter_nd(sorted_by[:, None], tf.range(count), count[None])
        starts = tf.repeat(texts.ids.row_starts(), texts.ids.row_lengths())
        turn = tf.cast(turn, tf.int64) - starts
        return 1 + tf.cast(tf.where(is_late, turn, number * block), tf.int32)

    return ranks
