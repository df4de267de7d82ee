"""Whole targets by an engine: the same whatever the batch, the mesh and the form of the program."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, MaskPredictConfig, SundaeConfig
from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.wishes import Wishes
from t5x_lite.model import transformer
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import (
    HeadConfig,
    HeadKind,
    LearnedPositionsConfig,
    RelativeBiasConfig,
    Visibility,
)
from t5x_lite.testing import tiny_model

pytestmark = pytest.mark.usefixtures("two_devices")

VOCAB, LENGTH = 40, 6
SUNDAE = DecodingConfig(
    strategy=SundaeConfig(num_steps=4, temperature=0.8, num_lengths=2, seed=3),
    max_decode_length=LENGTH,
    num_decodes=2,
)
MASKS = dataclasses.replace(SUNDAE, strategy=MaskPredictConfig(num_steps=3, num_lengths=2))
EACH = pytest.mark.parametrize("decoding", [SUNDAE, MASKS], ids=["sundae", "mask_predict"])


def denoiser(**fields):
    """A tiny T5 with a decoder that sees all positions."""
    config = tiny_model(vocab_size=VOCAB)
    decoder = dataclasses.replace(
        config.decoder,
        visibility=Visibility.FULL,
        # Distances would not tell a mask from another.
        positions=LearnedPositionsConfig(max_length=LENGTH),
    )
    heads = (HeadConfig(), HeadConfig(kind=HeadKind.LENGTH, max_length=8))
    special = SpecialTokens(mask=3)
    return dataclasses.replace(config, decoder=decoder, heads=heads, special=special, **fields)


@functools.cache
def engine(mesh, random_parameters, *, num_partitions=2, devices=8, seeds=(0,), **fields):
    partitioner, config = mesh(num_partitions, devices), denoiser(**fields)
    abstract = abstract_parameters(config, partitioner)
    parameters = [place_parameters(random_parameters(config, n), abstract) for n in seeds]
    return Engine(Ensemble((config,) * len(seeds)), parameters, partitioner, first_sentinel=38)


@pytest.fixture(scope="module")
def engine_of(mesh, random_parameters):
    """(num_partitions, devices, seeds, fields of the model) -> an engine."""
    return functools.partial(engine, mesh, random_parameters)


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(1)
    return [rng.integers(4, 38, size=2 + number % 5).tolist() for number in range(9)]


@pytest.fixture(scope="module")
def alone(engine_of, prompts):
    """decoding -> the answers of one device, all prompts at once."""
    one = engine_of(num_partitions=1, devices=1)
    return functools.cache(lambda decoding: one.generate(prompts, decoding, batch_size=9))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)


@EACH
def test_answers_do_not_depend_on_batch_and_mesh(decoding, engine_of, prompts, alone):
    """Nine prompts: one batch on one device, batches of 4 on 4 x 2, also where pools would be."""
    expected = alone(decoding)
    assert len({tuple(each.ids(0)) for each in expected}) > 3
    assert_same(engine_of().generate(prompts, decoding, batch_size=4, widths=(12,)), expected)


def test_logits_in_pieces_draw_the_same(engine_of, prompts, alone):
    """Where the logits of all positions would be too many to be there at once."""
    compute = ComputeConfig(logits_bytes=4 * VOCAB * 5)
    pieces = engine_of(num_partitions=1, devices=1, compute=compute)
    assert_same(pieces.generate(prompts, SUNDAE, batch_size=9), alone(SUNDAE))


def test_an_ensemble_of_two_that_are_one_is_that_one(engine_of, prompts, alone):
    """Lengths and tokens of both are averaged."""
    twins = engine_of(num_partitions=1, devices=1, seeds=(0, 0))
    assert_same(twins.generate(prompts, SUNDAE, batch_size=9), alone(SUNDAE))
    mixed = engine_of(num_partitions=1, devices=1, seeds=(0, 1))
    found = mixed.generate(prompts, SUNDAE, batch_size=9)
    assert any((a.tokens != b.tokens).any() for a, b in zip(found, alone(SUNDAE), strict=True))


def test_outputs_have_the_lengths_that_are_asked_for(engine_of, prompts):
    """Up to where the model writes an end token before; no mask and no sentinel is written."""
    lengths = [1 + place % LENGTH for place in range(len(prompts))]
    decoding = dataclasses.replace(SUNDAE, forbid_sentinels=True)
    found = engine_of(num_partitions=1, devices=1).generate(
        prompts, decoding, batch_size=9, wishes=Wishes(lengths=lengths)
    )
    for each, length in zip(found, lengths, strict=True):
        for decode in range(2):
            assert not each.tokens[decode, length:].any()
            assert not np.isin(each.tokens[decode], [3, 38, 39]).any()
            assert len(each.ids(decode)) == length or each.ended(decode) or length < LENGTH


def test_scores_are_those_of_the_last_pass(engine_of, prompts):
    """With one step: the likeliest tokens of what random tokens make, from plain passes."""
    one = engine_of(num_partitions=1, devices=1)
    decoding = dataclasses.replace(
        SUNDAE, strategy=MaskPredictConfig(num_steps=1, num_lengths=1), num_decodes=1
    )
    (found,) = one.generate(prompts[:1], decoding, batch_size=1, wishes=Wishes(lengths=[4]))
    config = one.models.members[0]
    read = np.asarray([prompts[0]], np.int32)
    batch = {
        "encoder_input_tokens": read,
        "encoder_segment_ids": np.ones_like(read),
        "decoder_input_tokens": np.full((1, 4), config.special.mask, np.int32),
        "decoder_segment_ids": np.ones((1, 4), np.int32),
    }
    logits = np.array(
        transformer.logits(config, one.parameters[0], jax.tree.map(jnp.asarray, batch))
    )[0]
    logits[:, config.special.mask] = -np.inf
    log_probs = np.asarray(jax.nn.log_softmax(logits, axis=-1))
    best = log_probs.argmax(axis=-1).tolist()
    written = best[: best.index(1) + 1] if 1 in best else best
    assert found.ids()[:4] == written or found.ids() == written
    expected = log_probs.max(axis=-1)[: len(written)]
    assert float(found.log_probs[0]) == pytest.approx(float(expected.sum()), rel=1e-4)
    assert float(found.scores[0]) == pytest.approx(float(expected.mean()), rel=1e-4)


def test_what_a_model_cannot_do_is_refused(engine_of, prompts):
    """One error each."""
    one = engine_of(num_partitions=1, devices=1)
    with pytest.raises(UserError, match="does not write token after token"):
        one.generate(prompts, dataclasses.replace(MASKS, strategy=BeamConfig()), batch_size=9)
    with pytest.raises(UserError, match="no likelihood of a target"):
        one.score(prompts, prompts, batch_size=9)
    with pytest.raises(UserError, match="keeps no token"):
        one.generate(prompts[:1], SUNDAE, batch_size=1, wishes=Wishes(forced=[[5]]))
    bare = dataclasses.replace(denoiser(), special=SpecialTokens())
    other = Engine(Ensemble((bare,)), one.parameters, one.partitioner)
    with pytest.raises(UserError, match="knows no mask"):
        other.generate(prompts, MASKS, batch_size=9)
    decoder = dataclasses.replace(bare.decoder, positions=RelativeBiasConfig(bidirectional=True))
    relative = dataclasses.replace(denoiser(), decoder=decoder)
    with pytest.raises(UserError, match="by distances alone all of them are told alike"):
        Engine(Ensemble((relative,)), one.parameters, one.partitioner).generate(
            prompts, MASKS, batch_size=9
        )
    nine = dataclasses.replace(SUNDAE, max_decode_length=9)
    with pytest.raises(UserError, match="of 9 tokens, and the model has learned .* to 8"):
        Engine(Ensemble((relative,)), one.parameters, one.partitioner).generate(
            prompts[:2], nine, batch_size=2, wishes=Wishes(lengths=[3, 9])
        )
    with pytest.raises(UserError, match="learned 6 positions"):
        one.generate(prompts, dataclasses.replace(SUNDAE, max_decode_length=7), batch_size=9)
    mute = dataclasses.replace(denoiser(), heads=(HeadConfig(),))
    parameters = {name: each for name, each in one.parameters[0].items() if name != "heads"}
    silent = Engine(Ensemble((mute,)), [parameters], one.partitioner)
    with pytest.raises(UserError, match="no head that tells how long"):
        silent.generate(prompts, SUNDAE, batch_size=9)
    writer = Engine(Ensemble((tiny_model(VOCAB),)), [parameters], one.partitioner)
    with pytest.raises(UserError, match="a model that writes token after token"):
        writer.generate(prompts, SUNDAE, batch_size=9)
