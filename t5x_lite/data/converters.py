"""Task features to model features: SeqIO's converters chosen by the model's layout.

Inputs 11 12 1 and targets 21 1, lengths 4 and 3, in PREFIX_LM give
decoder_target_tokens     11 12  1 21  1  0  0
decoder_input_tokens       0 11 12  1 21  1  0
decoder_causal_attention   1  1  1  1  0  0  0   (the inputs and the position that predicts targets)
decoder_loss_weights       0  0  0  1  1  0  0
"""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.data.layout import Layout


def convert(
    dataset: tf.data.Dataset,
    layout: Layout,
    *,
    lengths: Mapping[str, int],
    pack: bool,
    loss_on_targets_only: bool | None,
) -> tf.data.Dataset:
    """Trimmed, packed or padded rows of model features.

    Args:
        lengths: of exactly the features the task has: inputs and targets, or targets alone.
        loss_on_targets_only: None is the layout's own choice, see `Layout`.
    """
    if layout is Layout.ENCODER_DECODER:
        return seqio.EncDecFeatureConverter(pack=pack)(dataset, lengths)
    if "inputs" not in lengths:
        return seqio.LMFeatureConverter(pack=pack)(dataset, lengths)
    if loss_on_targets_only is None:
        loss_on_targets_only = layout is Layout.PREFIX_LM
    converter = seqio.PrefixLMFeatureConverter(pack=pack, loss_on_targets_only=loss_on_targets_only)
    dataset = converter(dataset, lengths)
    if layout is Layout.LM:
        dataset = dataset.map(_without_causal_attention, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset


def _without_causal_attention(features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: f for name, f in features.items() if name != "decoder_causal_attention"}
