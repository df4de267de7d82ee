"""What stands beside the tokens of an example, with them in their row: values for each token, one
for the whole example, or two marked positions (`features.layouts.Content`).

Rows are packed as integers; a float travels in the bits of one.
"""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from t5x_lite import errors
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Content, ModelFeature
from t5x_lite.objectives import segments

# Around what a pipeline says of examples that do not fit.
_SAID = re.compile("<beside>(.*?)</beside>")


def spread(
    feature: ModelFeature, tokens: tf.RaggedTensor, given: tf.RaggedTensor
) -> tf.RaggedTensor:
    """int32 values as many as the tokens of each example.

    Raises:
        tf.errors.InvalidArgumentError: while examples are read, for other numbers of values than
            needed; `said_plainly` makes a UserError of it.
    """
    is_each = feature.content is Content.ALIGNED
    needed = tokens.row_lengths() if is_each else feature.length_beside({})
    counts = given.row_lengths()
    in_words = "a value for each token of inputs" if is_each else f"{needed} in each example"
    check = tf.debugging.assert_equal(
        counts,
        tf.broadcast_to(tf.cast(needed, counts.dtype), tf.shape(counts)),
        message=f"<beside>{feature.beside}: needed is {in_words}, and one has another number of "
        "values: look at the preprocessors of the task</beside>",
    )
    with tf.control_dependencies([check]):
        values = tf.identity(_bits(given.flat_values))
    if not is_each:
        values = _placed(feature, tokens, values)
    return tokens.with_flat_values(values)


def values(feature: ModelFeature, rows: tf.Tensor) -> tf.Tensor:
    """Rows of the feature, of those that were made of what is spread."""
    return tf.bitcast(rows, tf.float32) if feature.dtype == "float32" else rows


@contextlib.contextmanager
def said_plainly() -> Iterator[None]:
    """Of what a pipeline says while it is read, the part that its user can mend.

    Raises:
        UserError: an example has other numbers of values than needed, or a source of ours that is
            written in Python has found something that cannot be used.
    """
    try:
        yield
        errors.raise_kept()
    except StopIteration:
        errors.raise_kept()
        raise
    except tf.errors.OpError as error:
        if found := _SAID.search(str(error)):
            raise UserError(found[1]) from None
        if (behind := errors.behind(error)) is not error:
            raise behind from None
        raise


def _placed(feature: ModelFeature, tokens: tf.RaggedTensor, values: tf.Tensor) -> tf.Tensor:
    """At the positions that an example's values are of."""
    position, count = segments.places(tokens), tokens.row_lengths()
    if feature.content is Content.FIRST:
        return tf.where(position == 0, tf.repeat(values, count), 0)
    first, last = tf.unstack(tf.cast(tf.reshape(values, [-1, 2]), tf.int64), axis=1)
    chosen = first if feature.content is Content.START else last
    # Of a span that is cut off, or is none, nothing is marked.
    is_whole = (first >= 0) & (first <= last) & (last < count)
    return tf.cast(position == tf.repeat(tf.where(is_whole, chosen, -1), count), tf.int32)


def _bits(values: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(values, tf.int32) if values.dtype == tf.float32 else tf.cast(values, tf.int32)
