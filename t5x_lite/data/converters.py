"""Task features to model features: SeqIO's converters chosen by the model's layout.

Inputs 11 12 1 and targets 21 1, lengths 4 and 3, in PREFIX_LM give
decoder_target_tokens     11 12  1 21  1  0  0
decoder_input_tokens       0 11 12  1 21  1  0
decoder_causal_attention   1  1  1  1  0  0  0   (the inputs and the position that predicts targets)
decoder_loss_weights       0  0  0  1  1  0  0
"""

import functools
from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.data import packing
from t5x_lite.features.layouts import Layout


def convert(
    dataset: tf.data.Dataset,
    layout: Layout,
    *,
    lengths: Mapping[str, int],
    pack: bool,
    loss_on_targets_only: bool | None,
    room: int = 0,
) -> tf.data.Dataset:
    """Trimmed, packed or padded rows of model features.

    Args:
        lengths: of exactly the features the task has: inputs and targets, or targets alone.
        loss_on_targets_only: None is the layout's own choice, see `Layout`.
        room: positions to reserve in front of the inputs (else targets) of each example; rows are
            that much longer, and what stands there has no loss.
    """
    if not room:
        return _convert(dataset, layout, lengths, pack, loss_on_targets_only)
    where = "inputs" if "inputs" in lengths else "targets"
    reserve = functools.partial(_reserve, where=where, room=room)
    longer = {**lengths, where: lengths[where] + room}
    dataset = dataset.map(reserve, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = _convert(dataset, layout, longer, pack, loss_on_targets_only)
    if layout is Layout.ENCODER_DECODER:
        return dataset
    silent = functools.partial(_without_loss, room=room)
    return dataset.map(silent, num_parallel_calls=tf.data.AUTOTUNE)


def _convert(
    dataset: tf.data.Dataset,
    layout: Layout,
    lengths: Mapping[str, int],
    pack: bool,
    loss_on_targets_only: bool | None,
) -> tf.data.Dataset:
    if layout is Layout.ENCODER_DECODER:
        return _EncoderDecoder(pack=pack)(dataset, lengths)
    if "inputs" not in lengths:
        return _LM(pack=pack)(dataset, lengths)
    if loss_on_targets_only is None:
        loss_on_targets_only = layout is Layout.PREFIX_LM
    converter = _PrefixLM(pack=pack, loss_on_targets_only=loss_on_targets_only)
    dataset = converter(dataset, lengths)
    if layout is Layout.LM:
        dataset = dataset.map(_without_causal_attention, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset


def _reserve(features: Mapping[str, tf.Tensor], *, where: str, room: int) -> dict[str, tf.Tensor]:
    held = features[where]
    return {**features, where: tf.concat([tf.ones([room], held.dtype), held], axis=0)}


def _without_loss(features: Mapping[str, tf.Tensor], *, room: int) -> dict[str, tf.Tensor]:
    """The position before each reserved one, whose target it is, counts nothing."""
    weights = features["decoder_loss_weights"]
    before = features["decoder_positions"] < room
    return {**features, "decoder_loss_weights": tf.where(before, tf.zeros_like(weights), weights)}


def _without_causal_attention(features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: f for name, f in features.items() if name != "decoder_causal_attention"}


class _FastPacking(seqio.FeatureConverter):
    """A converter of SeqIO whose packing takes a fraction of the time and gives the same rows."""

    def _pack_or_pad(
        self, ds: tf.data.Dataset, packed_lengths: Mapping[str, int]
    ) -> tf.data.Dataset:
        if self.pack:
            return packing.trim_and_pack(ds, packed_lengths)
        return super()._pack_or_pad(ds, packed_lengths)


class _EncoderDecoder(_FastPacking, seqio.EncDecFeatureConverter):
    pass


class _LM(_FastPacking, seqio.LMFeatureConverter):
    pass


class _PrefixLM(_FastPacking, seqio.PrefixLMFeatureConverter):
    pass
