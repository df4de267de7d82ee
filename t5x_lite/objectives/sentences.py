"""Texts to tokenized sentences, of which an encoder's objectives make what it reads."""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.objectives.segments import DOCUMENTS_AT_ONCE
from t5x_lite.text.seqio_vocabulary import resolve

# A mark that ends sentences, with what closes behind it, and white space; and every line by itself.
_BORDER = r"([.!?\x{3002}]['\x{2019}\x{201d}\")\]]*)\s+"


def tokenize(
    dataset: tf.data.Dataset, output_features: Mapping[str, seqio.Feature]
) -> tf.data.Dataset:
    """Preprocessor: {"targets": text} to {"targets": ids, "sentences": how many each sentence has},
    without special tokens; no other feature.

    Lines are sentences, and end with a mark before white space: a name's initial ends one as well.
    """
    vocabulary = resolve(output_features["inputs"].vocabulary)
    texts = dataset.map(lambda example: example["targets"], num_parallel_calls=tf.data.AUTOTUNE)

    @tf.autograph.experimental.do_not_convert
    def split(texts: tf.Tensor) -> dict[str, tf.RaggedTensor]:
        lines = tf.strings.regex_replace(texts, _BORDER, "\\1\n")
        ids = vocabulary.encode_tf(tf.strings.split(lines, "\n"))
        lengths = tf.cast(ids.row_lengths(axis=2), tf.int32)
        return {
            "targets": ids.merge_dims(1, 2),
            "sentences": tf.ragged.boolean_mask(lengths, lengths > 0),
        }

    batches = texts.batch(DOCUMENTS_AT_ONCE)
    return batches.map(split, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
