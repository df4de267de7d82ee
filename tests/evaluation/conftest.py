"""Tasks of bytes that need no data, registered once for all tests of this room."""

import numpy as np
import pytest
import seqio

from t5x_lite.data.examples import evaluation_tasks
from t5x_lite.metrics.accuracy import accuracy

WORDS = [f"{a}{b}" for a in "abcdefg" for b in "hijkl"]
VOCABULARY = seqio.ByteVocabulary(extra_ids=4)


def _words(split, shuffle_files, seed=None):
    import tensorflow as tf

    del split, shuffle_files, seed
    return tf.data.Dataset.from_tensor_slices({"text": WORDS})


def _add(name: str, metric_fns) -> None:
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(_words, splits=("train", "validation")),
        preprocessors=[
            lambda dataset: dataset.map(
                lambda example: {"inputs": "echo: " + example["text"], "targets": example["text"]}
            ),
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos,
        ],
        output_features={
            "inputs": seqio.Feature(VOCABULARY),
            "targets": seqio.Feature(VOCABULARY),
        },
        metric_fns=metric_fns,
    )


def shares(targets: list[str], predictions: list[str]) -> dict[str, float]:
    """Per cent of the first and of the second letters that are right."""
    found = {}
    for index, name in enumerate(("first", "second")):
        hits = [t[index] == p[index : index + 1] for t, p in zip(targets, predictions, strict=True)]
        found[name] = 100 * float(np.mean(hits))
    return found


def broken(targets: list[str], predictions: list[str]) -> dict[str, float]:
    """A metric with a mistake in it."""
    return {"broken": targets[0].no_such_method()}


if "evaluation_echo" not in seqio.TaskRegistry.names():
    _add("evaluation_echo", [accuracy, shares])
    _add("evaluation_broken", [broken])
    _add("evaluation_without_metrics", [])
    seqio.MixtureRegistry.add(
        "evaluation_mixture", [("evaluation_echo", 1.0), ("evaluation_without_metrics", 1.0)]
    )


@pytest.fixture
def echo():
    """A task of 35 examples "echo: ah" -> "ah" with three metrics."""
    (task,) = evaluation_tasks("evaluation_echo", split="validation")
    return task


@pytest.fixture(scope="session")
def factory():
    """Random models of the tasks' size on a mesh data=4 x model=2."""
    from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner
    from t5x_lite.testing import tiny_model
    from t5x_lite.training.state import StateFactory

    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    return StateFactory(
        tiny_model(vocab_size=264), AdafactorConfig(), ScheduleConfig(), partitioner
    )


@pytest.fixture(scope="session")
def state(factory):
    """Parameters so large that answers differ between examples, though nothing was learned."""
    return _loud(factory.initialize(0))


def _loud(state):
    import dataclasses

    import jax

    return dataclasses.replace(state, parameters=jax.tree.map(lambda x: 5 * x, state.parameters))


@pytest.fixture(scope="session")
def model_dir(factory, state, tmp_path_factory):
    """A model directory with checkpoint_4 and checkpoint_8, of different parameters."""
    import dataclasses

    import jax.numpy as jnp

    from t5x_lite.checkpoints.config import SaveCheckpointConfig
    from t5x_lite.checkpoints.manager import Checkpoints, Description

    directory = tmp_path_factory.mktemp("model")
    checkpoints = Checkpoints(directory, SaveCheckpointConfig())
    for step, each in ((4, _loud(factory.initialize(1))), (8, state)):
        checkpoints.save(step, dataclasses.replace(each, step=jnp.int32(step)), Description("", 0))
    checkpoints.close()
    return directory
