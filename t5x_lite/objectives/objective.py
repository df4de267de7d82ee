"""An objective turns one token sequence into (inputs, targets); Raffel et al. (2020), table 3.

Everything here is TensorFlow with stateless seeds, so that a pipeline runs without Python's lock
and its position can be saved. The sequence has no end token yet: tasks append it afterwards.
"""

import dataclasses
from collections.abc import Callable, Mapping

import seqio
import tensorflow as tf

Seed = tuple[tf.Tensor, tf.Tensor]  # what SeqIO hands out and stateless random functions take
NoiseMask = Callable[[tf.Tensor, tuple[Seed, Seed]], tf.Tensor]
Rewrite = Callable[[tf.Tensor, tf.Tensor, seqio.Vocabulary], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Objective:
    """One sequence -> (inputs, targets): choose the noise, then decide what each side sees."""

    noise: NoiseMask  # (length, two seeds) -> bool[length]
    inputs: Rewrite  # (tokens, noise, vocabulary) -> tokens the encoder reads
    targets: Rewrite  # (tokens, noise, vocabulary) -> tokens the decoder writes


def apply_objective(
    dataset: tf.data.Dataset,
    objective: Objective,
    output_features: Mapping[str, seqio.Feature],
) -> tf.data.Dataset:
    """Examples {"targets"} to {"inputs", "targets"}; other features stay."""
    vocabulary = output_features["targets"].vocabulary

    @seqio.map_over_dataset(num_seeds=2)
    def rewrite(example: Mapping[str, tf.Tensor], seeds: tuple[Seed, Seed]) -> dict[str, tf.Tensor]:
        tokens = example["targets"]
        noise = objective.noise(tf.size(tokens), seeds)
        return {
            **example,
            "inputs": objective.inputs(tokens, noise, vocabulary),
            "targets": objective.targets(tokens, noise, vocabulary),
        }

    return rewrite(dataset)


def keep_noise(tokens: tf.Tensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary) -> tf.Tensor:
    """Only the noise tokens."""
    del vocabulary
    return tf.boolean_mask(tokens, noise)


def drop_noise(tokens: tf.Tensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary) -> tf.Tensor:
    """All tokens but the noise."""
    del vocabulary
    return tf.boolean_mask(tokens, ~noise)


def noise_to_sentinels(
    tokens: tf.Tensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary
) -> tf.Tensor:
    """Each run of noise becomes one sentinel: the first `<extra_id_0>`, the next `<extra_id_1>`.

    Tokens a b c d e with noise on b c and e become a <extra_id_0> d <extra_id_1>.
    """
    continues = tf.pad(noise[:-1], [[1, 0]]) & noise
    starts = noise & ~continues
    # The sentinels are the last ids, in reverse (SPEC of T5's vocabulary: <extra_id_0> is last).
    sentinels = vocabulary.vocab_size - tf.cumsum(tf.cast(starts, tokens.dtype))
    return tf.boolean_mask(tf.where(starts, sentinels, tokens), ~continues)


def kept_to_sentinels(
    tokens: tf.Tensor, noise: tf.Tensor, vocabulary: seqio.Vocabulary
) -> tf.Tensor:
    """Each run of tokens that are not noise becomes one sentinel: the answer to the above."""
    return noise_to_sentinels(tokens, ~noise, vocabulary)
