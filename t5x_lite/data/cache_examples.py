"""Examples of a cache: the records that SeqIO reads back, and its statistics of them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import seqio
import tensorflow as tf

from t5x_lite.errors import UserError

# SeqIO's readers find all of them as int64 and cast to the type that `info` names.
_INTEGERS = (tf.int32, tf.int64, tf.bool)

Example: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = list[int | None]
Encoder: TypeAlias = Callable[[Any], dict[str, tf.train.Feature]]


@dataclasses.dataclass
class Counts:
    """SeqIO's statistics of some examples, and how their features are read back."""

    examples: int = 0
    tokens: dict[str, int] = dataclasses.field(default_factory=dict)
    max_tokens: dict[str, int] = dataclasses.field(default_factory=dict)
    features: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def add(self, other: "Counts", *, task: str) -> None:
        """Counts of more examples.

        Raises:
            UserError: a feature has one shape here and another there.
        """
        self.examples += other.examples
        for name, count in other.tokens.items():
            self.tokens[name] = self.tokens.get(name, 0) + count
        for name, count in other.max_tokens.items():
            self.max_tokens[name] = max(self.max_tokens.get(name, 0), count)
        for name, feature in other.features.items():
            known = self.features.setdefault(name, feature)["shape"]
            if known != feature["shape"]:
                raise _varying(task, name, known, feature["shape"])


def encoders(task: str, specs: Mapping[str, tf.TypeSpec]) -> dict[str, Encoder]:
    """How each feature is kept.

    Raises:
        UserError: SeqIO could not read one back.
    """
    return {name: _encoder(task, name, spec) for name, spec in specs.items()}


def values(tensors: Mapping[str, Any]) -> Example:
    """Arrays of dense tensors; ragged ones, of which NumPy has none, as they are."""
    return {
        name: tensor if isinstance(tensor, tf.RaggedTensor) else np.asarray(tensor.numpy())
        for name, tensor in tensors.items()
    }


def record(example: Example, encoders: Mapping[str, Encoder]) -> bytes:
    """A tf.train.Example, the same bytes for the same values."""
    features: dict[str, tf.train.Feature] = {}
    for name, value in example.items():
        features |= encoders[name](value)
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString(deterministic=True)


def _encoder(task: str, name: str, spec: object) -> Encoder:
    """Its values, and of a ragged one the lengths of its rows beside them."""
    dtype = getattr(spec, "dtype", None)
    if dtype in _INTEGERS:
        feature = _integers
    elif dtype == tf.float32:
        feature = _floats
    elif dtype == tf.string:
        feature = _strings
    else:
        raise _unreadable(task, name, spec)
    if isinstance(spec, tf.TensorSpec):
        return lambda value: {name: feature(np.ravel(value))}
    if not isinstance(spec, tf.RaggedTensorSpec):
        raise _unreadable(task, name, spec)

    def ragged(value: Any) -> dict[str, tf.train.Feature]:
        kept = {name: feature(np.ravel(value.flat_values.numpy()))}
        for dim, lengths in enumerate(value.nested_row_lengths()):
            kept[seqio.utils.tfexample_ragged_length_key(name, dim)] = _integers(lengths.numpy())
        return kept

    return ragged


def _integers(values: np.ndarray) -> tf.train.Feature:
    integers = values.astype(np.int64).tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=integers))


def _floats(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.tolist()))


def _strings(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values.tolist()))


class Counter:
    """Counts examples of a shard as SeqIO counts: tokens are ids that neither pad nor end."""

    def __init__(self, task: seqio.Task, specs: Mapping[str, tf.TypeSpec]) -> None:
        self.counts = Counts()
        self._task, self._specs = task.name, specs
        self._not_counted = {
            name: [
                i for i in {feature.vocabulary.eos_id, feature.vocabulary.pad_id} if i is not None
            ]
            for name, feature in task.output_features.items()
            if isinstance(spec := specs.get(name), tf.TensorSpec)
            and spec.dtype in (tf.int32, tf.int64)
        }

    def count(self, example: Example) -> None:
        """Adds one example."""
        counts = self.counts
        counts.examples += 1
        for name, excluded in self._not_counted.items():
            ids = example[name]
            tokens = ids.size - sum(int(np.count_nonzero(ids == i)) for i in excluded)
            counts.tokens[name] = counts.tokens.get(name, 0) + tokens
            counts.max_tokens[name] = max(counts.max_tokens.get(name, 0), tokens)
        for name, value in example.items():
            shape = _shape(value, self._specs[name])
            if name not in counts.features:
                dtype = self._specs[name].dtype.name
                counts.features[name] = {"shape": shape, "dtype": dtype}
            elif shape != counts.features[name]["shape"]:
                raise _varying(self._task, name, counts.features[name]["shape"], shape)


def _shape(value: Any, spec: tf.TypeSpec) -> Shape:
    """As SeqIO's `info` has it: the first dimension differs from example to example."""
    if isinstance(spec, tf.RaggedTensorSpec):
        return [None, *spec.shape[1:]]
    return [None, *value.shape[1:]] if value.shape else []


def _varying(task: str, name: str, one: Shape, other: Shape) -> UserError:
    return UserError(
        f"{name} of task {task} has examples of the shapes {one} and {other}: only the first "
        "dimension may differ from example to example; make it a tf.RaggedTensor before the "
        "CacheDatasetPlaceholder, or pad it."
    )


def _unreadable(task: str, name: str, spec: object) -> UserError:
    return UserError(
        f"{name} of task {task} is {spec} before the CacheDatasetPlaceholder; what SeqIO's caches "
        "hold are dense and ragged tensors of int32, int64, bool, float32 and string: cast it in a "
        "preprocessor before the placeholder, or leave it out there."
    )
