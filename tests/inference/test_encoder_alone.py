"""An encoder by itself encodes, whatever the batch and the mesh, and neither writes nor scores."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.exporting.programs import flat, programs
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer
from t5x_lite.model.config import LearnedPositionsConfig
from t5x_lite.testing import tiny_model

INPUTS = [[5, 9, 3], [7, 2], [4, 8, 15, 16, 23], [42]]


def test_vectors_are_those_of_the_encoder_whatever_the_batch_and_mesh(engine_of):
    """One device and one row against 4 x 2 devices and batches of 4."""
    alone = engine_of(architecture=Layout.ENCODER, num_partitions=1, devices=1)
    found = alone.encode(INPUTS, batch_size=1, mean=False)
    meshed = engine_of(architecture=Layout.ENCODER).encode(INPUTS, batch_size=4, mean=False)
    model, tokens = alone.models.members[0], np.asarray([INPUTS[2]], np.int32)
    batch = {"encoder_input_tokens": tokens, "encoder_segment_ids": np.ones_like(tokens)}
    expected = jax.jit(lambda p, b: transformer.encode(model, p, b))(alone.parameters[0], batch)
    np.testing.assert_allclose(found[2], expected[0], rtol=1e-5, atol=1e-5)
    for one, other, ids in zip(found, meshed, INPUTS, strict=True):
        assert one.shape == (len(ids), model.embed_dim)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_it_writes_nothing_and_scores_nothing(engine_of):
    """In one sentence that says what it can do."""
    engine = engine_of(architecture=Layout.ENCODER, num_partitions=1, devices=1)
    for ask in (
        lambda: engine.generate(INPUTS, DecodingConfig(max_decode_length=3), batch_size=4),
        lambda: engine.score(INPUTS, INPUTS, batch_size=4),
    ):
        with pytest.raises(ValueError, match="an encoder alone, .* needed is a model with a dec"):
            ask()


def test_what_has_no_positions_is_refused(engine_of):
    """Inputs as long as the positions that are learned, with nothing in front."""
    engine = engine_of(architecture=Layout.ENCODER, num_partitions=1, devices=1)
    model = engine.models.members[0].with_stacks(
        lambda _, stack: dataclasses.replace(stack, positions=LearnedPositionsConfig(max_length=5))
    )
    parameters = jax.jit(lambda key: transformer.init_parameters(model, key))(jax.random.key(0))
    engine = type(engine)(Ensemble((model,)), [parameters], engine.partitioner)
    assert len(engine.encode(INPUTS, batch_size=4, mean=True)) == 4
    with pytest.raises(ValueError, match="6 tokens to read .* need 6 positions"):
        engine.encode([[1] * 6], batch_size=1, mean=True)


def test_what_is_exported_of_it_encodes():
    """There is nothing else to export."""
    model = tiny_model(32, Layout.ENCODER)
    found = programs(model, DecodingConfig(), inputs_length=6, first_sentinel=None, platform="cpu")
    assert found.keys() == {"encode"}
    parameters = transformer.init_parameters(model, jax.random.key(0))
    tokens = np.asarray([[3, 4, 5, 0, 0, 0]], np.int32)
    mask = np.int32(tokens > 0)
    (hidden,) = jax.jit(found["encode"].function)(flat(parameters), tokens, mask)
    batch = {"encoder_input_tokens": tokens, "encoder_segment_ids": mask}
    expected = jax.jit(lambda p, b: transformer.encode(model, p, b))(parameters, batch)
    np.testing.assert_allclose(hidden[0, :3], expected[0, :3], rtol=1e-5, atol=1e-5)
    assert np.all(np.asarray(hidden)[0, 3:] == 0)
