"""A user's own files as a task, without a Python file: `--data`, or this function from a module.

    add_files_task("my_text", RecordsConfig(paths="corpus/*.jsonl.gz"))
    add_files_task("my_pairs", RecordsConfig(paths="pairs.tsv", inputs="source", targets="target"))

What is told of pairs by an encoder (classes, values) is registered with `_encoder` behind the name,
as other downstream tasks are.
"""

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from t5x_lite import errors
from t5x_lite.data.source import Source
from t5x_lite.errors import UserError
from t5x_lite.metrics.accuracy import accuracy, sequence_accuracy
from t5x_lite.metrics.bleu import bleu
from t5x_lite.metrics.classification import matthews_corrcoef
from t5x_lite.metrics.correlation import pearson_corrcoef, spearman_corrcoef
from t5x_lite.metrics.likelihood import bits_per_byte
from t5x_lite.metrics.rouge import rouge
from t5x_lite.objectives import documents, masked_table, table
from t5x_lite.records.chunks import Chunks
from t5x_lite.records.config import RecordsConfig, Told
from t5x_lite.records.examples import SPLITS, files_of
from t5x_lite.tasks.registration import (
    Example,
    add_classes_task,
    add_task,
    add_values_task,
    each,
)
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

METRICS: Mapping[str, Callable[..., Any]] = {
    "accuracy": accuracy,
    "bleu": bleu,
    "matthews": matthews_corrcoef,
    "pearson": pearson_corrcoef,
    "rouge": rouge,
    "sequence_accuracy": sequence_accuracy,
    "spearman": spearman_corrcoef,
}
# Files that are read side by side.
_AT_ONCE = 16
# There is no Python control flow over tensors for AutoGraph to look for.
_as_it_is = tf.autograph.experimental.do_not_convert


class FilesSource(Source):
    """Rows of files as {"targets"} or {"inputs", "targets"}, strings.

    Registering a task costs nothing: files are looked for when a split is counted or read. A large
    corpus is read in the order of its files, several of them side by side; of a small one the rows
    are shuffled as well.
    """

    def __init__(self, config: RecordsConfig) -> None:
        super().__init__(splits=SPLITS)
        self._config = config
        self._known: dict[str, Chunks] = {}

    def _chunks_of(self, split: str) -> Chunks:
        """Of a split, the same while all can be read."""
        if split not in self._known or self._known[split].has_failed:
            self._known[split] = Chunks(self._config, files_of(self._config, split), split)
        return self._known[split]

    def description(self) -> dict[str, Any]:
        """What is made of which files, wherever they lie, and how large they are."""
        said = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self._config.facts().items()
            if name != "data" and not (name == "held_out" and isinstance(value, str))
        }
        files = {
            split: {path.name: path.stat().length for path in self._chunks_of(split).files}
            for split in SPLITS
        }
        return said | {"files": files}

    def check(self, split: str) -> None:
        """Reads the rows of a small corpus.

        Raises:
            OSError, UserError: a file cannot be read, or a row of it not be used.
        """
        self._chunks_of(split).count()

    def num_input_examples(self, split: str) -> int | None:
        """Of a small corpus; a large one would have to be read."""
        return self._chunks_of(split).count()

    def list_shards(self, split: str) -> Sequence[str]:
        """The files."""
        return [str(file) for file in self._chunks_of(split).files]

    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        """The shard's rows: those of whole files, where there are enough, else its part of each."""
        errors.forget()
        chunks = self._chunks_of(split)
        files, part, parts = range(len(chunks.files)), 0, 1
        if shard is not None and len(files) >= shard.num_shards:
            files = files[shard.index :: shard.num_shards]
        elif shard is not None:
            part, parts = shard.index, shard.num_shards
        numbers = tf.data.Dataset.from_tensor_slices(tf.constant(list(files), tf.int64))
        if shuffle:
            numbers = numbers.shuffle(len(files), seed=seed)
        order = seed if shuffle else None

        def read_chunk(file: np.int64, chunk: np.int64) -> tuple[bool, np.ndarray, np.ndarray]:
            with errors.kept():
                found = chunks.read(int(file), int(chunk), seed=order, part=part, parts=parts)
            inputs, targets = zip(*found, strict=True) if found else ((), ())
            return found is not None, _encoded(inputs), _encoded(targets)

        # A function of its place, which is all the state it has, so a position can be saved.
        read = functools.partial(
            tf.numpy_function, read_chunk, Tout=(tf.bool, tf.string, tf.string), stateful=False
        )

        rows = functools.partial(_rows, is_pair=self._config.is_pair)

        @_as_it_is
        def read_file(file: tf.Tensor) -> tf.data.Dataset:
            places = tf.data.Dataset.range(np.iinfo(np.int64).max)
            found = places.map(_as_it_is(lambda chunk: read([file, chunk])))
            return found.take_while(_is_there).flat_map(rows)

        return numbers.interleave(read_file, cycle_length=_AT_ONCE if shuffle else 1)


@_as_it_is
def _is_there(is_there: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    del inputs, targets
    return tf.ensure_shape(is_there, [])


@_as_it_is
def _rows(
    is_there: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor, *, is_pair: bool
) -> tf.data.Dataset:
    del is_there
    features = {"inputs": tf.ensure_shape(inputs, [None])} if is_pair else {}
    return tf.data.Dataset.from_tensor_slices(
        features | {"targets": tf.ensure_shape(targets, [None])}
    )


def _encoded(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts], dtype=object)


def add_files_task(name: str, config: RecordsConfig) -> str:
    """Registers a task; it is looked for in the files when it is read.

    Returns:
        The name under which it is registered.

    Raises:
        UserError: there is no such objective or metric.
    """
    source = FilesSource(config)
    if not config.is_pair:
        _add_text(name, source, config.objective)
        return name
    own: dict[str, Any] = {"source": source, "metric_fns": list(map(_metric, config.metrics))}
    if config.told is Told.TEXT:
        add_task(name, preprocessors=[], **own)
        return name
    if config.told is Told.CLASSES:
        names = tf.constant(config.labels)
        preprocessors = [each(functools.partial(_to_class, names=names))]
        add_classes_task(name, labels=config.labels, preprocessors=preprocessors, **own)
    else:
        add_values_task(name, preprocessors=[each(_to_value)], **own)
    return f"{name}_encoder"


def remove(name: str) -> None:
    """Forgets a task, if it is known."""
    if name in seqio.TaskRegistry.names():
        seqio.TaskRegistry.remove(name)


def _add_text(name: str, source: seqio.DataSource, objective: str) -> None:
    if objective in masked_table.MASKED_OBJECTIVES:
        seqio.TaskRegistry.add(
            name,
            source=source,
            preprocessors=masked_table.preprocessors(objective),
            output_features=masked_table.output_features(objective),
        )
        return
    if objective not in table.OBJECTIVES:
        known = [*table.OBJECTIVES, *masked_table.MASKED_OBJECTIVES]
        raise UserError(
            f"There is no objective {objective!r}; did you mean {_nearest(objective, known)}?"
        )
    has_end = table.ends_with_end_token(objective)
    feature = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=has_end)
    sides = ("inputs", "targets") if table.has_inputs(objective) else ("targets",)
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[
            documents.tokenize,
            seqio.CacheDatasetPlaceholder(),
            table.preprocessor(objective),
            *([seqio.preprocessors.append_eos_after_trim] if has_end else []),
        ],
        output_features=dict.fromkeys(sides, feature),
        metric_fns=[bits_per_byte],
    )


def _to_class(example: Example, *, names: tf.Tensor) -> Example:
    place = tf.argmax(tf.equal(names, example["targets"]), output_type=tf.int32)
    return {"first": example["inputs"], "classes": place}


def _to_value(example: Example) -> Example:
    number = tf.strings.to_number(example["targets"])
    return {"first": example["inputs"], "values": number}


def _metric(name: str) -> Callable[..., Any]:
    if name not in METRICS:
        raise UserError(f"There is no metric {name!r}; did you mean {_nearest(name, METRICS)}?")
    return METRICS[name]


def _nearest(name: str, known: Any) -> str:
    return " or ".join(difflib.get_close_matches(name, known, n=3) or known)
