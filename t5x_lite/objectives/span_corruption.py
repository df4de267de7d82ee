"""The objective T5 settled on: spans of 3 tokens on average, 15 % in all, become sentinels.

"Thank you for inviting me to your party last week" may give
inputs  "Thank you <extra_id_0> me to your party <extra_id_1>" and
targets "<extra_id_0> for inviting <extra_id_1> last week".
A segment always starts with kept tokens and ends with noise, so no sentinel trails the targets.
"""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.objectives import lengths, objective, segments

NOISE_DENSITY = 0.15
MEAN_SPAN_LENGTH = 3.0


def random_spans(*, noise_density: float, mean_span_length: float) -> objective.NoiseMask:
    """Noise in spans: how much is a function of the length, only the places are random."""

    def mask(length: tf.Tensor, seeds: tuple[objective.Seed, objective.Seed]) -> tf.Tensor:
        # In float64, as Python counts in `lengths.noise_counts`.
        wanted = tf.round(tf.cast(length, tf.float64) * noise_density)
        num_noise = tf.clip_by_value(tf.cast(wanted, tf.int32), 1, length - 1)
        spans = tf.round(tf.cast(num_noise, tf.float64) / mean_span_length)
        num_spans = tf.clip_by_value(tf.cast(spans, tf.int32), 1, length - num_noise)
        noise_lengths = random_composition(num_noise, num_spans, seeds[0])
        kept_lengths = random_composition(length - num_noise, num_spans, seeds[1])
        # kept, noise, kept, noise, ...: odd runs are noise.
        runs = tf.reshape(tf.stack([kept_lengths, noise_lengths], axis=1), [-1])
        return tf.repeat(tf.range(2 * num_spans) % 2 == 1, runs)

    return mask


def random_composition(total: tf.Tensor, parts: tf.Tensor, seed: objective.Seed) -> tf.Tensor:
    """`total` as a sum of `parts` positive numbers, every such sum equally likely."""
    # A composition chooses parts - 1 of the total - 1 places between units, where parts end.
    ends = seqio.stateless_shuffle(tf.cast(tf.range(total - 1) < parts - 1, tf.int32), seed)
    part_of_unit = tf.cumsum(tf.pad(ends, [[1, 0]]))
    return tf.math.bincount(part_of_unit, minlength=parts)


SPAN_CORRUPTION = objective.Objective(
    noise=random_spans(noise_density=NOISE_DENSITY, mean_span_length=MEAN_SPAN_LENGTH),
    inputs=objective.noise_to_sentinels,
    targets=objective.kept_to_sentinels,
)


def span_corruption(
    dataset: tf.data.Dataset,
    sequence_length: Mapping[str, int] | None,
    output_features: Mapping[str, seqio.Feature],
) -> tf.data.Dataset:
    """Preprocessor: tokenized documents {"targets"} to {"inputs", "targets"} that fill the window.

    Segments have just so many raw tokens that the inputs with their end token fill
    `sequence_length["inputs"]`. A single left-over token at the end of joined documents is dropped:
    there is nothing to corrupt.
    """
    tokens = _segment_tokens(sequence_length, output_features)
    dataset = segments.select_random_chunk(dataset)
    dataset = segments.join_documents(dataset)
    dataset = segments.split_tokens(dataset, max_tokens=tokens, min_tokens=2)
    return objective.apply_objective(dataset, SPAN_CORRUPTION, output_features)


def _segment_tokens(
    sequence_length: Mapping[str, int] | None, output_features: Mapping[str, seqio.Feature]
) -> int:
    if sequence_length is None:
        raise ValueError(
            "Span corruption cuts text to a window, but no lengths were given: set "
            "--gin.TASK_FEATURE_LENGTHS=\"{'inputs': 512, 'targets': 114}\"."
        )
    wanted = lengths.span_corruption_lengths(
        sequence_length["inputs"], noise_density=NOISE_DENSITY, mean_span_length=MEAN_SPAN_LENGTH
    )
    if wanted.targets > sequence_length["targets"]:
        raise ValueError(
            f"Span corruption of inputs of {sequence_length['inputs']} tokens makes targets of "
            f"{wanted.targets} tokens, but the targets length is {sequence_length['targets']}: set "
            f"--gin.TASK_FEATURE_LENGTHS=\"{{'inputs': {sequence_length['inputs']}, 'targets': "
            f'{wanted.targets}}}" or shorter inputs.'
        )
    num_spans = lengths.noise_counts(
        wanted.tokens, noise_density=NOISE_DENSITY, mean_span_length=MEAN_SPAN_LENGTH
    ).spans
    num_sentinels = output_features["targets"].vocabulary.extra_ids
    if num_spans > num_sentinels:
        raise ValueError(
            f"Span corruption of inputs of {sequence_length['inputs']} tokens needs {num_spans} "
            f"sentinels, the vocabulary has {num_sentinels}: shorten 'inputs' in "
            "--gin.TASK_FEATURE_LENGTHS=... or use a vocabulary with more extra_ids."
        )
    return wanted.tokens
