"""GPT-2 answers: prompts without a start token, and one id that starts, ends and pads."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, SampleConfig
from t5x_lite.errors import UserError
from t5x_lite.features.config import PromptConfig
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer

pytestmark = pytest.mark.usefixtures("two_devices")

VOCAB, MAX_LENGTH, LENGTH = 40, 24, 5
END = VOCAB - 1
GREEDY = DecodingConfig(max_decode_length=LENGTH)
BEAM = dataclasses.replace(GREEDY, strategy=BeamConfig(beam_size=3), num_decodes=2)
SAMPLE = dataclasses.replace(GREEDY, strategy=SampleConfig(top_k=10, seed=4), num_decodes=2)


@pytest.fixture(scope="module")
def prompts():
    """Eleven of 0 to 10 tokens; the end token is text within them, as between documents."""
    rng = np.random.default_rng(3)
    found = [rng.integers(0, END, size=length).tolist() for length in rng.permutation(11)]
    return [[*ids[:2], END, *ids[3:]] if len(ids) > 4 else ids for ids in found]


@pytest.fixture(scope="module")
def engine_of(gpt2_of, mesh, random_parameters):
    """(start token or not, num_partitions, devices) -> an engine with random parameters."""
    kept = {}

    def make(start_token=False, *, num_partitions=2, devices=8):
        key = (start_token, num_partitions, devices)
        if key not in kept:
            config = dataclasses.replace(
                gpt2_of(VOCAB_SIZE=VOCAB, MAX_LENGTH=MAX_LENGTH),
                prompts=PromptConfig(start_token=start_token, end_token=False),
            )
            partitioner = mesh(num_partitions, devices)
            abstract = abstract_parameters(config, partitioner)
            parameters = place_parameters(random_parameters(config), abstract)
            kept[key] = Engine(Ensemble((config,)), (parameters,), partitioner)
        return kept[key]

    return make


def log_probs_by_definition(engine, prompt, target):
    """[target, vocab]: the model's own softmax over one row without padding."""
    (model,) = engine.models.members
    ahead = [END] if model.prompts.start_token or not prompt else []
    batch = {"decoder_input_tokens": jnp.array([[*ahead, *prompt, *target][:-1]], jnp.int32)}
    batch["decoder_segment_ids"] = jnp.ones_like(batch["decoder_input_tokens"])
    run = jax.jit(functools.partial(transformer.logits, model))
    return np.asarray(jax.nn.log_softmax(run(engine.parameters[0], batch)))[0, -len(target) :]


@pytest.mark.parametrize("decoding", [GREEDY, BEAM, SAMPLE], ids=lambda d: d.strategy.name)
def test_answers_do_not_depend_on_batch_and_mesh_and_score_what_they_say(
    decoding, engine_of, prompts
):
    """One batch on one device, a pool of 4 on 4 x 2; token by token with a cache and beams, and in
    one pass over the given tokens.
    """
    engine = engine_of()
    found = engine.generate(prompts, decoding, batch_size=4, widths=(10,))
    alone = engine_of(num_partitions=1, devices=1)
    expected = alone.generate(prompts, decoding, batch_size=11)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=1e-4)
    assert len({tuple(output.ids()) for output in found}) > 5
    for decode in range(decoding.num_decodes):
        targets = [output.ids(decode) for output in found]
        scored = engine.score(prompts, targets, batch_size=8)
        sums = [output.log_probs[decode] for output in found]
        np.testing.assert_allclose(sums, [each.sum() for each in scored], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("start_token", [True, False], ids="start token {}".format)
def test_scores_and_choices_are_those_of_a_row_of_its_own(start_token, engine_of, prompts):
    """By definition, for the empty prompt too; each token of a greedy answer is the
    likeliest."""
    engine = engine_of(start_token, num_partitions=1, devices=1)
    chosen = sorted(prompts, key=len)[::5]
    assert not chosen[0] and END in chosen[-1]
    targets = [[7, END], [END], [3, 0, 11, END]]
    scored = engine.score(chosen, targets, batch_size=3)
    answers = engine.generate(chosen, GREEDY, batch_size=3)
    for prompt, target, found, answer in zip(chosen, targets, scored, answers, strict=True):
        expected = log_probs_by_definition(engine, prompt, target)
        np.testing.assert_allclose(
            found, expected[np.arange(len(target)), target], rtol=1e-4, atol=1e-5
        )
        own = log_probs_by_definition(engine, prompt, answer.ids())
        np.testing.assert_array_equal(answer.ids(), own.argmax(axis=-1))


def test_what_has_no_positions_is_refused(engine_of, prompts):
    """In numbers; the start token of an empty prompt has a position too."""
    engine = engine_of()
    with pytest.raises(UserError, match=r"10 tokens to read and 20 to write .* 24"):
        long = dataclasses.replace(GREEDY, max_decode_length=20)
        engine.generate(prompts, long, batch_size=4)
    with pytest.raises(UserError, match="positions"):
        engine.score([[1] * 20], [[2] * 10], batch_size=1)
