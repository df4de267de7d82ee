"""Files whose examples fit into memory: all of them but translations and articles."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.folders import Folders

Example = Mapping[str, Any]
# What TFDS calls Text, a Sequence of them, a ClassLabel; nested features are nested mappings.
TEXT = tf.TensorSpec((), tf.string)
TEXTS = tf.TensorSpec((None,), tf.string)
TWO_TEXTS = tf.TensorSpec((2,), tf.string)
LABEL = tf.TensorSpec((), tf.int64)
INTEGER = tf.TensorSpec((), tf.int32)
INTEGERS = tf.TensorSpec((None,), tf.int32)
NUMBER = tf.TensorSpec((), tf.float32)
Features = Mapping[str, Any]

_NO_LABEL = -1


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleFiles:
    """A data set by its features and by a function that reads the examples of a split."""

    features: Features
    load: Callable[[Folders, str], Sequence[Example]]

    def count(self, folders: Folders, split: str) -> int:
        """How many examples there are."""
        return len(_loaded(self, folders, split))

    def dataset(self, folders: Folders, split: str, *, seed: int | None) -> tf.data.Dataset:
        """The examples in the order of the file, or all shuffled by `seed`, as TFDS stores them."""
        examples = _loaded(self, folders, split)
        if seed is not None:
            order = np.random.default_rng(seed).permutation(len(examples))
            examples = [examples[place] for place in order]
        return tf.data.Dataset.from_tensor_slices(_columns(examples, self.features))


@functools.lru_cache(maxsize=8)
def _loaded(files: ExampleFiles, folders: Folders, split: str) -> Sequence[Example]:
    return files.load(folders, split)


def _columns(examples: Sequence[Example], features: Features) -> dict[str, Any]:
    for number, example in enumerate(examples):
        if not isinstance(example, Mapping):
            raise _unfit(number, "example", example, f"the columns {', '.join(features)}")
    return {
        name: _column([example[name] for example in examples], spec, name)
        for name, spec in features.items()
    }


def _column(values: list[Any], spec: Any, name: str) -> Any:
    if isinstance(spec, Mapping):
        return _columns(values, spec)
    for number, value in enumerate(values):
        _check(number, name, value, spec)
    if spec.shape.is_fully_defined():
        return tf.constant(values, spec.dtype, shape=(len(values), *spec.shape))
    flat = [each for value in values for each in value]
    lengths = tf.constant([len(value) for value in values], tf.int64, shape=(len(values),))
    return tf.RaggedTensor.from_row_lengths(
        tf.constant(flat, spec.dtype, shape=(len(flat),)), lengths
    )


def _check(number: int, name: str, value: Any, spec: tf.TensorSpec) -> None:
    """TensorFlow's own error names neither the example nor the column."""
    if spec.shape.rank:
        if not isinstance(value, list | tuple) or spec.shape[0] not in (None, len(value)):
            raise _unfit(number, name, value, "a list")
    fits = _fits(spec.dtype)
    for each in value if spec.shape.rank else [value]:
        if not fits(each):
            raise _unfit(number, name, each, "text" if spec.dtype == tf.string else "a number")


@functools.cache  # TensorFlow looks its bounds up anew each time, which took longest of a data set
def _fits(dtype: tf.DType) -> Callable[[object], bool]:
    if dtype == tf.string:
        return _is_text
    kinds: tuple[type, ...] = (int, np.integer)
    if not dtype.is_integer:
        kinds = (*kinds, float, np.number)
    least, most = dtype.min, dtype.max

    def is_number(value: Any) -> bool:
        # NaN and infinity are between no bounds.
        return (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and bool(least <= value <= most)
        )

    return is_number


def _is_text(value: object) -> bool:
    try:  # half of a surrogate pair, as JSON can say it, is none
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _unfit(number: int, name: str, value: object, needed: str) -> UserError:
    return UserError(f"example {number} has {name}={str(value)[:80]!r}; needed is {needed}")


def label_index(value: object, labels: Sequence[str], where: str) -> int:
    """The index of a label that a file gives as a name, a truth value or a number; -1 of none.

    Raises:
        UserError: it is none of the labels.
    """
    if value is None or value == "" or str(value) == str(_NO_LABEL):
        return _NO_LABEL
    if isinstance(value, bool) and tuple(labels) != ("False", "True"):
        value = int(value)
    by_name = {label.lower(): index for index, label in enumerate(labels)}
    if (name := str(value).lower()) in by_name:
        return by_name[name]
    if name.isdecimal() and int(name) < len(labels):
        return int(name)
    raise UserError(
        f"{where}: {value!r} is no label; needed is one of {', '.join(labels)}, its number, or none"
    )
