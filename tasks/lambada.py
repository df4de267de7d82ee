"""LAMBADA (Paperno et al. 2016): the last word of a passage, which the whole of it tells.

| task         | inputs                             | targets      |
|--------------|------------------------------------|--------------|
| lambada_v100 | `lambada passage: ` all but a word | the last one |
"""

import tensorflow as tf

from t5x_lite.metrics.accuracy import sequence_accuracy
from t5x_lite.tasks.original_files.passages import PASSAGES
from t5x_lite.tasks.registration import Example, add_task, each
from t5x_lite.tasks.sources import DownstreamSource


def to_text(example: Example) -> Example:
    """The passage without its last word, and the word."""
    passage = tf.strings.strip(example["passage"])
    return {
        "inputs": "lambada passage: " + tf.strings.regex_replace(passage, r"\s+\S+$", ""),
        "targets": tf.strings.regex_replace(passage, r"^.*\s", ""),
    }


add_task(
    "lambada_v100",
    source=DownstreamSource("lambada:1.0.0", ("train", "validation", "test"), PASSAGES),
    preprocessors=[each(to_text)],
    metric_fns=[sequence_accuracy],
)
