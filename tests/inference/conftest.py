"""Tiny models as Hugging Face directories, and an engine on eight simulated devices."""

import json

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.config import Average
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model

VOCAB = 384  # ByT5's


def draw(config, seed=0):
    """Parameters with which outputs end, differ and do not repeat one token."""
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        noise = rng.standard_normal(shape.shape, np.float32)
        if path[-1].key == "scale":
            return 1 + 0.1 * noise
        return noise * (1.0 if path[-1].key == "kernel" and len(shape.shape) < 3 else 0.3)

    return jax.tree_util.tree_map_with_path(leaf, transformer.abstract_parameters(config))


@pytest.fixture(scope="session")
def mesh():
    """num_partitions, data devices -> a Partitioner on so many of the eight."""

    def make(num_partitions=2, devices=8):
        config = PartitioningConfig(num_partitions=num_partitions)
        return make_partitioner(config, jax.devices()[:devices])

    return make


@pytest.fixture(scope="session")
def random_parameters():
    """config -> parameters with which outputs end, differ and do not repeat one token."""
    return draw


@pytest.fixture(scope="session")
def engine_of(mesh):
    """(seeds of the members, partitioner, ...) -> an engine with random parameters."""
    kept = {}

    def make(
        seeds=(0,),
        *,
        num_partitions=2,
        devices=8,
        average=Average.LOGITS,
        vocab=40,
        architecture=Layout.ENCODER_DECODER,
    ):
        key = (seeds, num_partitions, devices, average, vocab, architecture)
        if key not in kept:
            partitioner = mesh(num_partitions, devices)
            config = tiny_model(vocab_size=vocab, architecture=architecture)
            abstract = abstract_parameters(config, partitioner)
            parameters = [place_parameters(draw(config, seed), abstract) for seed in seeds]
            models = Ensemble((config,) * len(seeds), average)
            kept[key] = Engine(models, parameters, partitioner, first_sentinel=30)
        return kept[key]

    return make


@pytest.fixture(scope="session")
def prompts():
    """Eleven prompts of 1 to 11 tokens, end token included: odd on every mesh."""
    rng = np.random.default_rng(3)
    return [[*rng.integers(2, 40, size=length).tolist(), 1] for length in rng.permutation(11)]


@pytest.fixture(scope="session")
def byt5(tmp_path_factory):
    """seed -> a Hugging Face directory of a byte model."""
    kept = {}

    def make(seed=0):
        if seed not in kept:
            folder = tmp_path_factory.mktemp("byt5")
            config = tiny_model(vocab_size=VOCAB)
            huggingface.save(folder, config, draw(config, seed))
            values = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
            (folder / "tokenizer_config.json").write_text(json.dumps(values))
            kept[seed] = folder
        return kept[seed]

    return make
