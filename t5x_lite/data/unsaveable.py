"""Data whose position cannot be saved: which task it is, and what to do."""

import re

import seqio
import tensorflow as tf

from t5x_lite.data import streams
from t5x_lite.data.config import DatasetConfig

_PYTHON = ("PyFunc", "EagerPyFunc", "PyFuncStateless")


def stateful_operation(dataset: tf.data.Dataset) -> str | None:
    """The first operation of a pipeline that keeps state of its own, if any.

    The whole pipeline is looked through: an attempt to save an iterator fails only where that
    operation is running at the moment.
    """
    try:
        tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(dataset),
            external_state_policy=tf.data.experimental.ExternalStatePolicy.FAIL.value,
        )
    except tf.errors.FailedPreconditionError as error:
        found = re.search(r"(\w+) is stateful", error.message)
        return found[1] if found else error.message
    return None


def explain(config: DatasetConfig, info: seqio.ShardInfo | None = None) -> str:
    """What a restart costs, for each task to blame, and the way out; empty if all can be saved.

    Args:
        info: the data shard that is looked at; None takes all as one.
    """
    info = info or seqio.ShardInfo(0, 1)
    provider = seqio.get_mixture_or_task(config.mixture_or_task_name)
    found = []
    for task in streams.tasks_with_split(provider, config.split):
        dataset = streams.task_examples(task, config, info, num_epochs=None)
        if (op := stateful_operation(dataset)) is not None:
            found.append(_explain(task.name, op))
    return "\n".join(found)


def _explain(task: str, op: str) -> str:
    if op in _PYTHON:
        return (
            f"WARNING: task {task} runs Python code within tf.data ({op}: a generator, py_function "
            "or numpy_function), so its position cannot be saved. A restart reads all batches from "
            "the first on again, as slowly as they were read, and stops if they differ. To make "
            f"restarts quick, cache the task (t5x_lite cache {task} ...; Python code belongs "
            "before the CacheDatasetPlaceholder), or read it from files by TensorFlow operations."
        )
    return (
        f"WARNING: task {task} uses {op}, whose state cannot be saved. A restart reads all batches "
        "from the first on again and stops if they differ, as they do where the operation is "
        "random. Draw numbers from seeds instead: @seqio.map_over_dataset(num_seeds=1) and "
        "tf.random.stateless_uniform."
    )
