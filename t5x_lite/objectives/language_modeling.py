"""Objectives without corruption: predict the whole text, or the rest of it after a prefix."""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.objectives import objective, segments


def random_prefix(length: tf.Tensor, seeds: tuple[objective.Seed, objective.Seed]) -> tf.Tensor:
    """The first k tokens, k uniform from 1 to length - 1."""
    prefix = tf.random.stateless_uniform((), seeds[0], minval=1, maxval=length, dtype=tf.int32)
    return tf.range(length) < prefix


PREFIX_LM = objective.Objective(
    noise=random_prefix, inputs=objective.keep_noise, targets=objective.drop_noise
)


def prefix_lm(
    dataset: tf.data.Dataset,
    sequence_length: Mapping[str, int] | None,
    output_features: Mapping[str, seqio.Feature],
) -> tf.data.Dataset:
    """Preprocessor: documents {"targets"} to {"inputs": a prefix, "targets": the rest of it}.

    Documents are not joined (a prefix of one tells nothing of another), and cut to the inputs
    length less one for the end token. Single tokens are dropped: they have no proper prefix.
    """
    max_tokens = _length(sequence_length, "inputs") - 1
    dataset = segments.select_random_chunk(dataset)
    dataset = segments.split_tokens(dataset, max_tokens=max_tokens, min_tokens=2)
    return objective.apply_objective(dataset, PREFIX_LM, output_features)


def language_model(
    dataset: tf.data.Dataset, sequence_length: Mapping[str, int] | None
) -> tf.data.Dataset:
    """Preprocessor: documents {"targets"} to segments {"targets"} that fill the window.

    No room is left for an end token: most segments end in the middle of a text.
    """
    dataset = segments.select_random_chunk(dataset)
    dataset = segments.join_documents(dataset)
    return segments.split_tokens(dataset, max_tokens=_length(sequence_length, "targets"))


def _length(sequence_length: Mapping[str, int] | None, feature: str) -> int:
    length = (sequence_length or {}).get(feature)
    if length is None or length < 3:
        raise ValueError(
            f"Language modeling cuts text to a window of {feature}, but its length is {length}; "
            f"needed are at least 3: --gin.TASK_FEATURE_LENGTHS=\"{{'{feature}': 512, ...}}\"."
        )
    return length
