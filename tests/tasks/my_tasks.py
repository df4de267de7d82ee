"""A task of one's own: reverse the words of a line."""

import seqio
import tensorflow as tf

from t5x_lite.metrics.accuracy import sequence_accuracy
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary


@seqio.map_over_dataset
def reverse_words(line):
    words = tf.strings.split(line)
    return {
        "inputs": tf.strings.join(["reverse: ", line]),
        "targets": tf.strings.reduce_join(words[::-1], separator=" "),
    }


seqio.TaskRegistry.add(
    "reverse_words",
    source=seqio.TextLineDataSource({"train": "train.txt", "test": "test.txt"}),
    preprocessors=[
        reverse_words,
        seqio.preprocessors.tokenize,
        seqio.preprocessors.append_eos_after_trim,
    ],
    output_features={
        name: seqio.Feature(DefaultVocabulary(), add_eos=True) for name in ("inputs", "targets")
    },
    metric_fns=[sequence_accuracy],
)
