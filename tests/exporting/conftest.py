"""Random models, which write texts that differ and end, and engines of the same parameters."""

import jax
import jaxtyping
import numpy as np
import pytest

from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.exporting.source import Source
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model

VOCAB = 40


@pytest.fixture(autouse=True)
def _unknown_sizes():
    """The number of rows of a program that is exported is a symbol: where `int` is asked for, the
    checks of tests refuse it.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _draw(config, seed=0):
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        noise = rng.standard_normal(shape.shape, np.float32)
        return 1 + 0.1 * noise if path[-1].key == "scale" else 0.3 * noise

    return jax.tree_util.tree_map_with_path(leaf, transformer.abstract_parameters(config))


@pytest.fixture(scope="session")
def draw():
    """config -> parameters of a model that is not sure of itself."""
    return _draw


@pytest.fixture(scope="session")
def source_of():
    """What was read of a path that holds such a model."""

    def make(architecture=Layout.ENCODER_DECODER, **fields):
        model = tiny_model(VOCAB, architecture, **fields)
        lengths = {"inputs": 12, "targets": 6}
        said = describe_run("", model, dataset={"task_feature_lengths": lengths})
        return Source(model, _draw(model), 7, None, said)

    return make


@pytest.fixture(scope="session")
def engine_of():
    """The same on one device, as `t5x_lite.load` runs it."""

    def make(source):
        mesh = make_partitioner(PartitioningConfig(), jax.devices()[:1])
        placed = place_parameters(source.parameters, abstract_parameters(source.model, mesh))
        return Engine(Ensemble((source.model,)), [placed], mesh, first_sentinel=30)

    return make
