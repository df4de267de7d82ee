"""Task features to model features: what `features.layouts` has a row for, whole groups at once.

Padding is where segment ids are 0, whatever ids are there: 0 may be a piece of text.
"""

import dataclasses
import enum
from collections.abc import Collection, Mapping

import tensorflow as tf

from t5x_lite.data import beside, packing
from t5x_lite.data.packing import Rows
from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import Content, ModelFeature, ModelFeatures, front
from t5x_lite.objectives import segments

Group = Mapping[str, tf.RaggedTensor]
# Packed beside a joined sequence.
_ROLES = "roles"


def convert(
    dataset: tf.data.Dataset,
    features: ModelFeatures,
    *,
    lengths: Mapping[str, int],
    rows: int,
    pack: bool,
    loss_on_targets_only: bool | None,
    room: int = 0,
) -> tf.data.Dataset:
    """Batches of `rows` trimmed, packed or padded rows of model features; the last may be short.

    Args:
        lengths: of exactly the features the task has, such as inputs and targets.
        loss_on_targets_only: None is the layout's own choice.
        room: positions to reserve in front of the inputs (else targets) of each example; rows are
            that much longer, and what stands there has no loss.

    Raises:
        UserError: a feature is no sequence of ids, or of numbers where those are meant.
    """
    made = features.row.made_of(lengths)
    _check_ids(dataset, {feature.beside for feature in made if feature.dtype == "float32"})
    if loss_on_targets_only is None:
        loss_on_targets_only = features.row.loss_on_targets_only
    converter = _Converter(
        features=made,
        special=features.special,
        lengths=lengths,
        pack=pack,
        loss_on_targets_only=loss_on_targets_only,
        room=room,
    )
    at_once = max(converter.row_lengths.values()) if pack else rows
    converted = segments.batches(dataset, at_once).map(
        tf.autograph.experimental.do_not_convert(converter), num_parallel_calls=tf.data.AUTOTUNE
    )
    return converted.unbatch().batch(rows) if pack else converted


def _check_ids(dataset: tf.data.Dataset, numbers: Collection[str | None]) -> None:
    for name, spec in dataset.element_spec.items():
        if name in numbers:
            if spec.dtype != tf.float32 or spec.shape.rank != 1:
                raise UserError(
                    f"{name} is {spec.dtype.name} of shape {spec.shape}; needed is a sequence of "
                    "float32, with one number: seqio.Feature(..., dtype=tf.float32)."
                )
        elif not spec.dtype.is_integer or spec.shape.rank != 1:
            raise UserError(
                f"{name} is {spec.dtype.name} of shape {spec.shape}; needed are ids, a sequence of "
                "integers: is a tokenizing preprocessor missing, such as "
                "seqio.preprocessors.tokenize?"
            )


class _Role(enum.IntEnum):
    """What a token of joined inputs and targets is. NONE stands for targets that are empty, and
    counts nothing.
    """

    NONE = 0
    INPUT = 1
    TARGET = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Converter:
    """Ragged examples of a task's features -> rows of a layout's."""

    features: tuple[ModelFeature, ...]
    special: SpecialTokens
    lengths: Mapping[str, int]
    pack: bool
    loss_on_targets_only: bool
    room: int

    @property
    def sequences(self) -> dict[str, tuple[str, ...]]:
        """What is packed, by name, and of which of the task's features."""
        return {
            feature.sequence: tuple(name for name in feature.of if name in self.lengths)
            for feature in self.features
        }

    @property
    def row_lengths(self) -> dict[str, int]:
        """The places of each sequence in a row."""
        return {f.sequence: f.length(self.lengths, self.room) for f in self.features}

    def __call__(self, group: Group) -> dict[str, tf.Tensor]:
        """Rows of all features."""
        trimmed = {name: group[name][:, :length] for name, length in self.lengths.items()}
        first = front(self.lengths)
        # Whatever stands there, a model puts its prompt in its place.
        trimmed[first] = segments.prepend(trimmed[first], [1] * self.room)
        sequences, lengths = {}, self.row_lengths
        for name, parts in self.sequences.items():
            sequences[name] = trimmed[parts[0]]
            if len(parts) > 1:
                sequences[name], sequences[_ROLES] = self._join(*(trimmed[part] for part in parts))
                lengths[_ROLES] = lengths[name]
        for feature in self.features:
            if feature.beside is not None:
                tokens, values = sequences[feature.sequence], trimmed[feature.beside]
                sequences[feature.name] = beside.spread(feature, tokens, values)
                lengths[feature.name] = lengths[feature.sequence]
        rows = (packing.pack if self.pack else packing.pad)(sequences, lengths)
        return {f.name: self._feature(f, rows) for f in self.features}

    def _feature(self, feature: ModelFeature, rows: Mapping[str, Rows]) -> tf.Tensor:
        if feature.beside is not None:
            return beside.values(feature, rows[feature.name].values)
        return tf.cast(self._content(feature, rows), feature.dtype)

    def _join(
        self, inputs: tf.RaggedTensor, targets: tf.RaggedTensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        """One sequence, and the role of each of its tokens."""
        is_empty = tf.cast(targets.row_lengths() == 0, tf.int64)
        padding = tf.fill([tf.reduce_sum(is_empty)], tf.cast(self.special.padding, targets.dtype))
        parts = [inputs, targets, segments.ragged(padding, is_empty)]
        joined = tf.concat(parts, axis=1)
        counts = tf.stack([part.row_lengths() for part in parts], axis=1)
        roles = tf.tile([_Role.INPUT, _Role.TARGET, _Role.NONE], [tf.size(is_empty)])
        return joined, joined.with_flat_values(tf.repeat(roles, tf.reshape(counts, [-1])))

    def _content(self, feature: ModelFeature, rows: Mapping[str, Rows]) -> tf.Tensor:
        values, segment_ids, positions = rows[feature.sequence]
        tokens = tf.where(segment_ids > 0, values, self.special.padding)
        match feature.content:
            case Content.TOKENS:
                return tokens
            case Content.SHIFTED:
                return tf.where(positions == 0, self.special.start, _shift(tokens))
            case Content.SEGMENT_IDS:
                return segment_ids
            case Content.POSITIONS:
                return positions
            case Content.LOSS_WEIGHTS:
                return self._counts(feature, rows)
            case _:  # CAUSAL_ATTENTION; what is beside tokens is not made of them
                follows_input = _shift(rows[_ROLES].values) == _Role.INPUT
                return (segment_ids > 0) & ((positions == 0) | follows_input)

    def _counts(self, feature: ModelFeature, rows: Mapping[str, Rows]) -> tf.Tensor:
        """Which places count for the loss."""
        _, segment_ids, positions = rows[feature.sequence]
        if _ROLES in rows:
            roles = rows[_ROLES].values
            counts = (roles == _Role.TARGET) | (
                (roles == _Role.INPUT) & (not self.loss_on_targets_only)
            )
        else:
            counts = segment_ids > 0
        # The position before each reserved one, whose target it is, counts nothing.
        return counts & (positions >= self.room) if front(self.lengths) in feature.of else counts


def _shift(rows: tf.Tensor) -> tf.Tensor:
    """One place to the right."""
    return tf.pad(rows, [[0, 0], [1, 0]])[:, :-1]
