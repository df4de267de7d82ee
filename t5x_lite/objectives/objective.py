"""An objective turns token sequences into (inputs, targets); Raffel et al. (2020), table 3.

Everything here is TensorFlow with stateless seeds, so that a pipeline runs without Python's lock
and its position can be saved. Many sequences are rewritten at once, because a call costs more than
the work on one sequence. The sequences have no end token yet: tasks append it afterwards.
"""

import dataclasses
from collections.abc import Callable, Mapping

import seqio
import tensorflow as tf

from t5x_lite.objectives import segments
from t5x_lite.objectives.lengths import Window

# Seeds are two numbers in a tensor. Noise is row after row in one vector, as
# `RaggedTensor.flat_values` has the tokens.
NoiseMask = Callable[[tf.Tensor, tuple[tf.Tensor, tf.Tensor]], tf.Tensor]
Rewrite = Callable[[tf.RaggedTensor, tf.Tensor, seqio.Vocabulary, tf.Tensor], tf.RaggedTensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """One sequence -> (inputs, targets): choose the noise, then decide what each side sees."""

    noise: NoiseMask  # (lengths[rows], two seeds) -> bool[all tokens]
    inputs: Rewrite | None  # (tokens, noise, vocabulary, seed) -> tokens the encoder reads, if any
    targets: Rewrite  # (tokens, noise, vocabulary, seed) -> tokens the decoder writes
    window: Window  # (feature lengths, tokens of the mode) -> what fits
    join: bool = True  # documents are joined, so that short ones leave no padding
    document_ends: bool = False  # each document ends with an end token, wherever it is cut
    borrows_pieces: bool = False  # with too few sentinels the last pieces serve as well, as in T5
    mode: str = ""  # text in front of the inputs that tells the model which objective it is


def apply(
    dataset: tf.data.Dataset,
    sequence_length: Mapping[str, int] | None,
    output_features: Mapping[str, seqio.Feature],
    *,
    objective: Objective,
) -> tf.data.Dataset:
    """Preprocessor: tokenized documents {"targets"} to {"inputs", "targets"} that fill the window.

    Raises:
        UserError: the lengths leave no room, or the vocabulary has too few sentinels.
    """
    vocabulary = output_features["targets"].vocabulary
    mode = vocabulary.encode(objective.mode) if objective.mode else []
    needs = objective.window(sequence_length, len(mode))
    if not objective.borrows_pieces:
        needs.check_sentinels(vocabulary.extra_ids)

    @seqio.map_over_dataset(num_seeds=1)
    @tf.autograph.experimental.do_not_convert  # there is no Python control flow to convert
    def rewrite(
        example: Mapping[str, tf.RaggedTensor], seed: tuple[tf.Tensor, tf.Tensor]
    ) -> dict[str, tf.RaggedTensor]:
        seeds = tf.unstack(tf.random.split(tf.stack(seed), 5))
        documents = segments.random_chunks(example["targets"], seeds[0])
        if objective.document_ends:
            documents = segments.append(documents, vocabulary.eos_id)
        if objective.join:
            documents = segments.join(documents)
        tokens = segments.split(
            documents, max_tokens=needs.tokens, min_tokens=needs.shortest_segment
        )
        noise = objective.noise(tf.cast(tokens.row_lengths(), tf.int32), (seeds[1], seeds[2]))
        sides = {"targets": objective.targets(tokens, noise, vocabulary, seeds[4])}
        if objective.inputs is not None:
            inputs = objective.inputs(tokens, noise, vocabulary, seeds[3])
            sides["inputs"] = segments.prepend(inputs, mode) if mode else inputs
        return sides

    documents = dataset.map(
        lambda example: {"targets": example["targets"]}, num_parallel_calls=tf.data.AUTOTUNE
    )
    return rewrite(segments.batches(documents, segments.DOCUMENTS_AT_ONCE)).unbatch()
