"""Texts to the tokenized documents that objectives read."""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.objectives.segments import DOCUMENTS_AT_ONCE
from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.seqio_vocabulary import resolve


def tokenize(
    dataset: tf.data.Dataset, output_features: Mapping[str, seqio.Feature]
) -> tf.data.Dataset:
    """Preprocessor: {"targets": text} to {"targets": ids} without an end token; no other feature.

    128 texts at once take a third of the time that one by one would.
    """
    vocabulary = resolve(output_features["targets"].vocabulary)
    texts = dataset.map(lambda example: example["targets"], num_parallel_calls=tf.data.AUTOTUNE)
    if isinstance(vocabulary, seqio.SentencePieceVocabulary | FolderVocabulary):
        texts = texts.batch(DOCUMENTS_AT_ONCE)
        ids = texts.map(vocabulary.encode_tf, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
    else:  # which may not know how to
        ids = texts.map(vocabulary.encode_tf, num_parallel_calls=tf.data.AUTOTUNE)
    return ids.map(lambda tokens: {"targets": tokens})
