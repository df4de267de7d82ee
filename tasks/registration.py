"""How a downstream task is registered, with the process's vocabulary: text in, text out; and beside
it, under the same name with `_encoder` behind, what an encoder by itself reads and is to tell.
"""

from collections.abc import Callable, Sequence
from typing import Any

import seqio
import tensorflow as tf

from t5x_lite.objectives import spans, texts
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

Example = dict[str, Any]
# One example of a data set to one with `inputs` and `targets`, within tf.data.
Format = Callable[[Example], Example]


def each(format_example: Format) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """A preprocessor that formats every example on its own."""
    # Formats have no Python control flow over tensors for AutoGraph to look for.
    as_it_is = tf.autograph.experimental.do_not_convert(format_example)

    def preprocess(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(as_it_is, num_parallel_calls=tf.data.AUTOTUNE)

    return preprocess


def add_task(
    name: str,
    *,
    source: seqio.DataSource,
    preprocessors: Sequence[Callable[..., tf.data.Dataset]],
    metric_fns: Sequence[Callable[..., Any]] = (),
    postprocess_fn: Callable[..., Any] | None = None,
) -> None:
    """Registers a task whose `preprocessors` give `inputs` and `targets` as strings.

    What is tokenized is cached, what is trimmed is not: one cache serves all lengths.
    """
    feature = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[
            *preprocessors,
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": feature, "targets": feature},
        metric_fns=list(metric_fns),
        postprocess_fn=postprocess_fn,
    )


def add_classes_task(name: str, *, labels: Sequence[str], **task: Any) -> None:
    """Registers `<name>_encoder`, whose `preprocessors` give `first` and perhaps `second` as
    strings, and the place of a label as `classes`; the metrics are given names of labels.
    """
    _add_encoders(name, texts, texts.output_features(labels=labels), **task)


def add_values_task(name: str, **task: Any) -> None:
    """As `add_classes_task`, of a number as `values`; the metrics are given it written out."""
    _add_encoders(name, texts, texts.output_features(), **task)


def add_spans_task(name: str, **task: Any) -> None:
    """The same of a `question`, `words`, and an `answer` that is some of them in a row, as
    `objectives.spans` reads them; the metrics are given those words.
    """
    _add_encoders(name, spans, spans.output_features(), **task)


def _add_encoders(
    name: str,
    steps: Any,
    features: dict[str, seqio.Feature],
    *,
    source: seqio.DataSource,
    preprocessors: Sequence[Callable[..., tf.data.Dataset]],
    metric_fns: Sequence[Callable[..., Any]] = (),
    postprocess_fn: Callable[..., Any] | None = None,
) -> None:
    seqio.TaskRegistry.add(
        f"{name}_encoder",
        source=source,
        preprocessors=[
            *preprocessors,
            steps.tokenize,
            seqio.CacheDatasetPlaceholder(),
            steps.frame,
        ],
        output_features=features,
        metric_fns=list(metric_fns),
        postprocess_fn=postprocess_fn,
    )
