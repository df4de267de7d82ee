"""A tiny model of each architecture and of GPT-2, what fine-tuning adds to it, and its batches."""

import dataclasses
import functools
import zlib

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.features.layouts import Layout
from t5x_lite.model import transformer
from t5x_lite.model.config import Sharing
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import make_factory

VOCAB, ROWS, LENGTH = 32, 8, 8
ARCHITECTURES = ("encoder_decoder", "shared", "half_depth", "lm", "prefix_lm", "gpt2")
_LAYOUTS = {"lm": Layout.LM, "prefix_lm": Layout.PREFIX_LM}


_NEEDED = (
    "MODEL_DIR=run",
    "INITIAL_CHECKPOINT_PATH=pretrained",
    "MIXTURE_OR_TASK_NAME=unused",
    "TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}",
    "TRAIN_STEPS=10",
)


def named(tree):
    """Leaves by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _model(gpt2_of, architecture="encoder_decoder", *, prompt_length=0, **block_fields):
    model = tiny_model(VOCAB, _LAYOUTS.get(architecture, Layout.ENCODER_DECODER))
    if architecture == "gpt2":  # with the special ids of the batches here
        model = dataclasses.replace(gpt2_of(VOCAB_SIZE=VOCAB), special=model.special)

    def of_stack(stack):
        if stack is None:
            return None
        if architecture == "half_depth":
            stack = dataclasses.replace(stack, num_layers=4, layers_divisor=2)
        return dataclasses.replace(stack, block=dataclasses.replace(stack.block, **block_fields))

    return dataclasses.replace(
        model,
        encoder=of_stack(model.encoder),
        decoder=of_stack(model.decoder),
        sharing=Sharing.ENCODER_DECODER if architecture == "shared" else Sharing.NONE,
        prompt_length=prompt_length,
    )


@functools.cache
def _compiled(function, config, **static):
    return jax.jit(functools.partial(function, config, **static))


@functools.cache
def _parameters(config):
    """Random parameters, what was added included; those of the plain model are the same draws.

    Drawn by NumPy: compiling an initialization takes longer than these tests.
    """

    def draw(path, leaf):
        noise = np.random.default_rng(zlib.crc32(str(path).encode()))
        noise = noise.standard_normal(leaf.shape, np.float32)
        if path[-1].key == "scale":
            return 1 + 0.1 * noise
        return noise * (0.5 if path[-1].key in ("embedding", "bias") else leaf.shape[-2] ** -0.5)

    return jax.tree_util.tree_map_with_path(draw, transformer.abstract_parameters(config))


def _batch(seed=0):
    """Unpacked rows of different lengths, with the features of every architecture."""
    rng = np.random.default_rng(seed)
    positions, lengths = np.arange(LENGTH), rng.integers(4, LENGTH + 1, (ROWS, 1))
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    features = {
        name: np.where(positions < lengths, rng.integers(2, VOCAB, (ROWS, LENGTH)), 0)
        for name in names
    }
    features["decoder_input_tokens"][:, 0] = 0
    for stack in ("encoder", "decoder"):
        features[f"{stack}_segment_ids"] = (positions < lengths).astype(np.int32)
    features["decoder_causal_attention"] = positions < np.full_like(lengths, 3)
    return {name: value.astype(np.int32) for name, value in features.items()}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    """Each of the five of Raffel et al. (2020), table 2, and GPT-2."""
    return request.param


@pytest.fixture(scope="session")
def model_of(gpt2_of):
    """(architecture, prompt_length=, **fields of each block) -> a tiny ModelConfig whose widths
    divide by 8.
    """
    return functools.partial(_model, gpt2_of)


@pytest.fixture(scope="session")
def parameters_of():
    """config -> random parameters; those of its plain model are the same numbers."""
    return _parameters


@pytest.fixture(scope="session")
def logits_of():
    """(config, parameters, batch) -> deterministic logits."""

    def logits(config, parameters, batch):
        return np.asarray(_compiled(transformer.logits, config)(parameters, batch))

    return logits


@pytest.fixture(scope="session")
def compiled():
    """(function of transformer, config, **static) -> the compiled function of all but these."""
    return _compiled


@pytest.fixture(scope="session")
def job_of():
    """(gin files, a file of gin/finetuning or None, *overrides) -> a fine-tuning job."""

    def job(gin_files, method, *overrides):
        files = [*gin_files, "recipes/finetune.gin"]
        files += [f"finetuning/{method}.gin"] if method else []
        return gin_config.resolve(
            TrainConfig, files, overrides=[("--gin", each) for each in (*_NEEDED, *overrides)]
        ).config

    return job


@pytest.fixture(scope="session")
def trains_of(job_of):
    """As `job_of` -> the names of what trains, and all abstract parameters by their names."""

    def trains(gin_files, method, *overrides):
        job = job_of(gin_files, method, *overrides)
        factory = make_factory(job, make_partitioner(job.partitioning))
        parameters = factory.abstract.parameters
        return list(named(factory.groups.trainable(parameters))), named(parameters)

    return trains


@pytest.fixture(scope="session")
def batch():
    """Unpacked rows of different lengths."""
    return _batch()
