"""CNN/DailyMail (See et al. 2017), not anonymized, as `cnn_dailymail_v002`: `summarize: ...`."""

import tensorflow as tf

from t5x_lite.metrics.rouge import rouge
from t5x_lite.tasks.original_files.cnn_dailymail import CNN_DAILYMAIL_FILES
from t5x_lite.tasks.registration import Example, add_task, each
from t5x_lite.tasks.sources import DownstreamSource


def to_text(example: Example) -> Example:
    """The highlights, one on a line, are the summary."""
    return {
        "inputs": tf.strings.join(["summarize:", example["article"]], separator=" "),
        "targets": example["highlights"],
    }


add_task(
    "cnn_dailymail_v002",
    source=DownstreamSource(
        "cnn_dailymail:3.4.0", ("train", "validation", "test"), CNN_DAILYMAIL_FILES
    ),
    preprocessors=[each(to_text)],
    metric_fns=[rouge],
)
