"""How a downstream task is registered: text in, text out, with the process's vocabulary."""

from collections.abc import Callable, Sequence
from typing import Any

import seqio
import tensorflow as tf

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
