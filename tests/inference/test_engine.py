"""Every example once and answered alike, whatever the batch and the mesh; what scores mean."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, ExactConfig, SampleConfig
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.config import Average
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.wishes import Wishes
from t5x_lite.model import transformer

LENGTH = 6
GREEDY = DecodingConfig(max_decode_length=LENGTH)
BEAM = dataclasses.replace(GREEDY, strategy=BeamConfig(beam_size=3), num_decodes=2)
SAMPLE = dataclasses.replace(GREEDY, strategy=SampleConfig(top_k=10, seed=4), num_decodes=2)
EXACT = dataclasses.replace(GREEDY, strategy=ExactConfig(), max_decode_length=3, num_decodes=2)
EACH = pytest.mark.parametrize(
    "decoding", [GREEDY, BEAM, SAMPLE, EXACT], ids=lambda decoding: decoding.strategy.name
)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)


@pytest.fixture(scope="module")
def answers(engine_of, prompts):
    """decoding -> what the engine on 4 x 2 devices answers in a pool of 4."""
    return functools.cache(
        lambda decoding: engine_of().generate(prompts, decoding, batch_size=4, widths=(12,))
    )


@EACH
def test_answers_do_not_depend_on_batch_and_mesh(decoding, engine_of, prompts, answers):
    """Eleven prompts: one batch on one device; pools of 4 on 4 x 2, and of 3, filled up to 4."""
    alone = engine_of(num_partitions=1, devices=1).generate(prompts, decoding, batch_size=11)
    every = {tuple(output.ids(n)) for output in alone for n in range(decoding.num_decodes)}
    assert len(every) > 3
    assert_same(answers(decoding), alone)
    assert_same(engine_of().generate(prompts, decoding, batch_size=3, widths=(12,)), alone)


def test_sorting_by_length_gives_each_answer_to_its_prompt(engine_of, prompts, answers):
    """Other batches in another order and other widths; the result is in the order given."""
    assert_same(engine_of().generate(prompts, GREEDY, batch_size=8), answers(GREEDY))


def test_a_shard_draws_what_the_whole_draws(engine_of, prompts, answers):
    """Sampling is a function of an example's number among all, not of its place in a job."""
    settings = {"batch_size": 4, "widths": (12,), "first_index": 1, "index_step": 3}
    found = engine_of().generate(prompts[1::3], SAMPLE, **settings)
    assert_same(found, answers(SAMPLE)[1::3])


@EACH
def test_each_output_begins_as_its_example_asks(decoding, engine_of, prompts, answers):
    """In pools and in one batch on one device; the answer itself as its beginning changes nothing
    where it is the only likeliest, and where examples ask for nothing they are answered as ever.
    """
    rng = np.random.default_rng(5)
    forced = [rng.integers(2, 40, size=place % 3).tolist() for place in range(len(prompts))]
    wishes = Wishes(forced)
    settings = {"batch_size": 4, "widths": (12,), "wishes": wishes}
    found = engine_of().generate(prompts, decoding, **settings)
    alone = engine_of(num_partitions=1, devices=1)
    assert_same(found, alone.generate(prompts, decoding, batch_size=11, wishes=wishes))
    for output, ids in zip(found, forced, strict=True):
        exist = output.log_probs > -np.inf  # of three tokens that end only so many begin with two
        assert exist[0] and (output.tokens[exist, : len(ids)] == ids).all()
    free = [place for place, ids in enumerate(forced) if not ids]
    assert_same([found[i] for i in free], [answers(decoding)[i] for i in free])


def test_modes_are_the_best_of_a_beam_that_drops_nothing(engine_of, prompts, answers):
    """Of 40 tokens and three: all hypotheses live. One memory goes back and forth, in pools and on
    a mesh; and of each length the mode has that length.
    """
    wide = dataclasses.replace(
        BEAM, strategy=BeamConfig(beam_size=1600, alpha=0.0), max_decode_length=3
    )
    alone = engine_of(num_partitions=1, devices=1)
    assert_same(answers(EXACT), alone.generate(prompts, wide, batch_size=11))
    assert all((each.scores == each.log_probs).all() for each in answers(EXACT))
    lengths = [1 + place % 3 for place in range(len(prompts))]
    found = engine_of().generate(
        prompts, EXACT, batch_size=4, widths=(12,), wishes=Wishes(lengths=lengths)
    )
    assert [len(each.ids()) for each in found] == lengths


def test_each_example_is_sampled_with_its_temperature(engine_of, prompts, answers):
    """As where all are; its neighbours in the pool do not matter."""
    cold = dataclasses.replace(SAMPLE, strategy=SampleConfig(top_k=10, seed=4, temperature=0.05))
    expected = [answers(cold)[i] if i % 2 else answers(SAMPLE)[i] for i in range(len(prompts))]
    temperatures = [0.05 if place % 2 else 1.0 for place in range(len(prompts))]
    settings = {"batch_size": 4, "widths": (12,), "wishes": Wishes(None, temperatures)}
    assert_same(engine_of().generate(prompts, SAMPLE, **settings), expected)


@EACH
def test_log_probabilities_of_decoding_are_those_of_scoring(decoding, engine_of, prompts, answers):
    """Token by token with a cache and beams, and in one pass over the given tokens."""
    engine, outputs = engine_of(), answers(decoding)
    for decode in range(decoding.num_decodes):
        targets = [output.ids(decode) for output in outputs]
        scored = engine.score(prompts, targets, batch_size=4)
        assert [len(each) for each in scored] == [len(target) for target in targets]
        # Given tokens hold no padding, which an untrained model does write now and then.
        plain = [place for place, target in enumerate(targets) if 0 not in target]
        assert len(plain) >= 8
        found = [outputs[place].log_probs[decode] for place in plain]
        expected = [scored[place].sum() for place in plain]
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("architecture", [Layout.LM, Layout.PREFIX_LM])
def test_decoder_only_models_are_scored_behind_their_inputs(architecture, engine_of, prompts):
    """The prefix's visibility and the start token are where decoding has them; beams move the
    prefix along.
    """
    engine = engine_of(architecture=architecture)
    outputs = engine.generate(prompts, BEAM, batch_size=4, widths=(12,))
    scored = engine.score(prompts, [output.ids() for output in outputs], batch_size=8)
    found = [output.log_probs[0] for output in outputs]
    np.testing.assert_allclose(found, [each.sum() for each in scored], rtol=2e-5, atol=2e-5)


def test_scores_do_not_depend_on_batch_and_mesh(engine_of, prompts):
    """Targets of other lengths than the inputs; every example once, in order."""
    targets = [prompt[:3][::-1] + [1] for prompt in prompts]
    alone = engine_of(num_partitions=1, devices=1).score(prompts, targets, batch_size=11)
    other = engine_of().score(prompts, targets, batch_size=4)
    for one, two in zip(alone, other, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
        assert (one < 0).all()


def test_a_score_is_the_sum_over_the_model_s_own_softmax(engine_of):
    """By definition, from the logits of one full pass."""
    engine = engine_of(num_partitions=1, devices=1)
    inputs, target = [7, 8, 1], [9, 5, 1]
    batch = {
        "encoder_input_tokens": jnp.array([inputs]),
        "encoder_segment_ids": jnp.ones((1, 3), jnp.int32),
        "decoder_input_tokens": jnp.array([[0, *target[:-1]]]),
        "decoder_segment_ids": jnp.ones((1, 3), jnp.int32),
    }
    (model,) = engine.models.members
    logits = jax.jit(lambda p: transformer.logits(model, p, batch))(engine.parameters[0])
    expected = jax.nn.log_softmax(logits)[0][np.arange(3), target]
    (found,) = engine.score([inputs], [target], batch_size=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", [Layout.ENCODER_DECODER, Layout.LM])
def test_pooling_is_the_mean_over_real_tokens(architecture, engine_of, prompts):
    """Padding, filler rows and a start token take no part, whatever the batch."""
    engine = engine_of(architecture=architecture)
    every = engine.encode(prompts, batch_size=4, mean=False)
    assert [len(each) for each in every] == [len(prompt) for prompt in prompts]
    means = engine.encode(prompts, batch_size=8, mean=True)
    for mean, each in zip(means, every, strict=True):
        np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-4, atol=1e-5)


PROMPT = (5, 9, 17)


def prompted(engine):
    """The engine's model with a prompt that is the vectors of PROMPT's tokens."""
    model = dataclasses.replace(engine.models.members[0], prompt_length=len(PROMPT))
    parameters = jax.device_get(engine.parameters[0])
    vectors = parameters["token_embedder"]["embedding"][list(PROMPT)]
    abstract = abstract_parameters(model, engine.partitioner)
    placed = place_parameters({**parameters, "prompt": {"embedding": vectors}}, abstract)
    return Engine(Ensemble((model,)), (placed,), engine.partitioner)


@pytest.mark.parametrize("architecture", [Layout.ENCODER_DECODER, Layout.PREFIX_LM])
def test_a_prompt_of_text_is_that_text(architecture, engine_of, prompts):
    """Answers, scores and embeddings are those of inputs that begin with the text, of which
    embeddings have no vector.
    """
    plain = engine_of(num_partitions=1, devices=1, architecture=architecture)
    engine, longer = prompted(plain), [[*PROMPT, *prompt] for prompt in prompts]
    targets = [prompt[::-1] for prompt in prompts]
    run = {"batch_size": 11}
    assert_same(engine.generate(prompts, GREEDY, **run), plain.generate(longer, GREEDY, **run))
    pairs = zip(engine.score(prompts, targets, **run), plain.score(longer, targets, **run))
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    every = engine.encode(prompts, mean=False, **run)
    for one, other in zip(every, plain.encode(longer, mean=False, **run), strict=True):
        np.testing.assert_allclose(one, other[len(PROMPT) :], rtol=1e-4, atol=1e-5)
    for one, mean in zip(every, engine.encode(prompts, mean=True, **run), strict=True):
        np.testing.assert_allclose(mean, one.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_sentinels_can_be_forbidden(engine_of, prompts, answers):
    """They do appear otherwise; the log-probabilities stay those of the model."""
    engine = engine_of()
    assert max(max(output.ids()) for output in answers(GREEDY)) >= engine.first_sentinel
    decoding = dataclasses.replace(GREEDY, forbid_sentinels=True)
    banned = engine.generate(prompts, decoding, batch_size=4, widths=(12,))
    assert max(max(output.ids()) for output in banned) < engine.first_sentinel
    scored = engine.score(prompts, [output.ids() for output in banned], batch_size=4)
    found = [output.log_probs[0] for output in banned]
    np.testing.assert_allclose(found, [each.sum() for each in scored], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("average", Average)
def test_an_ensemble_of_identical_members_is_the_model(average, engine_of, prompts, answers):
    """INV-21: of one (which `answers` is) and of two; to the last bit where logits are averaged."""
    targets = [prompt[::-1] for prompt in prompts]
    alone, expected = engine_of(), answers(GREEDY)
    engine = engine_of((0, 0), average=average)
    assert_same(engine.generate(prompts, GREEDY, batch_size=4, widths=(12,)), expected)
    pairs = zip(
        engine.score(prompts, targets, batch_size=4),
        alone.score(prompts, targets, batch_size=4),
        strict=True,
    )
    for one, other in pairs:
        if average is Average.LOGITS:
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("average", Average)
def test_an_ensemble_averages_what_it_says(average, engine_of, prompts):
    """Against the definition, from the log-probabilities that the members give alone; and beams of
    an ensemble score what the ensemble scores.
    """
    engine = engine_of((0, 1), average=average)
    outputs = engine.generate(prompts, BEAM, batch_size=4, widths=(12,))
    targets = [output.ids() for output in outputs]
    together = engine.score(prompts, targets, batch_size=4)
    np.testing.assert_allclose(
        [output.log_probs[0] for output in outputs],
        [each.sum() for each in together],
        rtol=2e-5,
        atol=2e-5,
    )
    if average is Average.PROBABILITIES:
        one = engine_of((0,)).score(prompts, targets, batch_size=4)
        two = engine_of((1,)).score(prompts, targets, batch_size=4)
        for a, b, both in zip(one, two, together, strict=True):
            np.testing.assert_allclose(np.exp(both), (np.exp(a) + np.exp(b)) / 2, rtol=1e-4)


def test_the_mean_of_logits_is_the_mean_of_logits():
    """The geometric mean of probabilities, normalized."""
    one, two = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 5)), jnp.float32)
    models = Ensemble((), Average.LOGITS)
    np.testing.assert_allclose(models._average([one, two]), (one + two) / 2, rtol=1e-6)


def test_members_must_have_one_vocabulary(engine_of):
    """Otherwise their logits cannot be averaged."""
    one, two = engine_of(), engine_of(vocab=48)
    models = Ensemble(one.models.members + two.models.members)
    with pytest.raises(ValueError, match=r"vocab_size \[40, 48\]"):
        type(one)(models, one.parameters + two.parameters, one.partitioner)


@pytest.mark.parametrize(
    ("name", "value"), [("prompt_length", 3), ("special", SpecialTokens(end=5))]
)
def test_members_must_read_the_same_rows(name, value, engine_of):
    """Room for a prompt and special ids stand in what all of them read."""
    engine = engine_of()
    (model,) = engine.models.members
    models = Ensemble((model, dataclasses.replace(model, **{name: value})))
    with pytest.raises(ValueError, match=f"read and write alike; given are {name} "):
        Engine(models, engine.parameters * 2, engine.partitioner)


def test_few_shapes_are_compiled_for_many_calls(engine_of, prompts):
    """Calls with other numbers of texts and other lengths use the programs that there are."""
    engine = engine_of(num_partitions=1, devices=1)
    decoding = dataclasses.replace(GREEDY, max_decode_length=2)
    for count in (1, 2, 3, 4, 3, 2):
        engine.generate(prompts[:count], decoding, batch_size=4)
    run = engine._compiled["generate", decoding]
    assert run._cache_size() == 3, "1, 2 and 4 rows, all 16 wide"


def test_other_parameters_use_the_same_programs(engine_of, prompts):
    """An evaluation during training decodes with what it was compiled for, and other weights."""
    engine, other = (engine_of((seed,), num_partitions=1, devices=1) for seed in (0, 1))
    live = engine.with_parameters(other.parameters)
    before = engine.score(prompts, prompts, batch_size=11)
    found = live.score(prompts, prompts, batch_size=11)
    for one, two, old in zip(
        found, other.score(prompts, prompts, batch_size=11), before, strict=True
    ):
        np.testing.assert_array_equal(one, two)
        assert (one != old).any()
    assert engine._compiled is live._compiled


def test_short_targets_of_long_inputs_are_scored_as_short_rows(engine_of, monkeypatch):
    """The decoder and its head do not read what pads the inputs."""
    seen = []
    apply = transformer.apply

    def spied(config, parameters, batch, **how):
        seen.append(
            (batch["encoder_input_tokens"].shape[1], batch["decoder_input_tokens"].shape[1])
        )
        return apply(config, parameters, batch, **how)

    monkeypatch.setattr(transformer, "apply", spied)
    engine_of().score([[5] * 40], [[4, 5, 1]], batch_size=1)
    assert seen == [(64, 16)]
