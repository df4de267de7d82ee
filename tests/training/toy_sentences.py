"""Sentences of two-syllable words for an encoder that tells replaced tokens, in the default
vocabulary.
"""

import seqio
import tensorflow as tf
from toy_texts import texts

from t5x_lite.objectives import masked_table

OBJECTIVE = "masked_for_detection"


def sentences(split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
    """Those of toy_texts, with full stops."""
    return texts(split, shuffle_files, seed).map(lambda each: {"targets": each["targets"] + "."})


seqio.TaskRegistry.add(
    "toy_sentences",
    source=seqio.FunctionDataSource(sentences, splits=("train", "validation")),
    preprocessors=masked_table.preprocessors(OBJECTIVE),
    output_features=masked_table.output_features(OBJECTIVE),
)
