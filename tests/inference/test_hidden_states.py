"""Hidden-state optimisation: what a chunk is scored by never saw it, and a step of 0 is none."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import hidden_states
from t5x_lite.inference.config import Average
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
from t5x_lite.inference.text_model import TextModel
from t5x_lite.model import transformer
from t5x_lite.model.quantization_config import QuantizationConfig
from t5x_lite.testing import tiny_model
from t5x_lite.text.byte_tokenizer import ByteTokenizer

pytestmark = pytest.mark.usefixtures("two_devices")

VOCAB, MAX_LENGTH = 40, 24
CHUNK, WINDOW, KEPT, LENGTH = 4, 14, 4, 30
OPTIMISED = HiddenStatesConfig(step_size=0.05, chunk=CHUNK, window=WINDOW)
PLAIN = dataclasses.replace(OPTIMISED, step_size=0.0)
NAMES = ("input", "target")
FAMILIES = ("gpt2", "t5", "local")


@pytest.fixture(scope="module")
def models_of(gpt2_of, random_parameters):
    """Name -> a language model as an ensemble, and its parameters: with learned positions, with
    relative ones, and with layers that see no more than 3 positions.
    """
    lm = tiny_model(vocab_size=VOCAB, architecture=Layout.LM)
    configs = {"gpt2": gpt2_of(VOCAB_SIZE=VOCAB, MAX_LENGTH=MAX_LENGTH), "t5": lm}
    local = dataclasses.replace(lm.decoder, window=3, window_every=2)
    configs["local"] = dataclasses.replace(lm, decoder=local)
    return {
        name: (Ensemble((config,)), (jax.tree.map(jnp.asarray, random_parameters(config)),))
        for name, config in configs.items()
    }


@pytest.fixture(scope="module")
def tokens():
    """Three texts."""
    return np.random.default_rng(0).integers(2, VOCAB - 1, size=(3, LENGTH)).astype(np.int32)


def batch_of(tokens):
    """What a language model reads to predict them."""
    return {
        "decoder_input_tokens": np.pad(tokens, ((0, 0), (1, 0)), constant_values=1)[:, :-1],
        "decoder_target_tokens": tokens,
        "decoder_segment_ids": np.ones_like(tokens),
    }


@functools.cache
def _compiled(models, config):
    return jax.jit(functools.partial(hidden_states.log_probs, models, config))


def log_probs(model, config, tokens):
    models, parameters = model
    return np.asarray(_compiled(models, config)(parameters, batch_of(tokens)))


def chunks_of(tokens):
    batch = batch_of(tokens)
    return [
        hidden_states.Chunk(
            *(jnp.asarray(batch[f"decoder_{name}_tokens"][:, at : at + CHUNK]) for name in NAMES),
            jnp.ones((len(tokens), CHUNK)),
        )
        for at in range(0, tokens.shape[1] - CHUNK + 1, CHUNK)
    ]


class Steps:
    """The memory of one model, chunk by chunk."""

    def __init__(self, model, config, rows=3):
        self.models, parameters = model
        self.networks = self.models.differentiable(parameters)
        self.config = config
        self.memory = hidden_states.empty(self.models, self.networks, rows, WINDOW)
        self._advance = jax.jit(
            functools.partial(hidden_states.advance, self.models, self.networks, config)
        )

    def read(self, chunk):
        self.memory, found = self._advance(self.memory, chunk)
        return np.asarray(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_0_is_plain_evaluation(family, models_of, tokens):
    """To the last bit that of chunks that are read behind a cache and no gradient; but for rounding
    that of one pass over the tokens of each window.
    """
    models, parameters = model = models_of[family]
    found = log_probs(model, PLAIN, tokens)
    networks = models.differentiable(parameters)

    @jax.jit
    def read(inputs, targets, cache, at, parameters):
        logits, cache = models.read(models.differentiable(parameters), inputs, cache, at)
        every = jax.nn.log_softmax(logits, axis=-1)
        return jnp.take_along_axis(every, targets[..., None], axis=-1)[..., 0], cache

    forward = jax.jit(models.log_probs)
    batch, at, cache = batch_of(tokens), 0, models.empty(networks, 3, WINDOW)
    for start in range(0, LENGTH, CHUNK):
        if at + CHUNK > WINDOW:
            cache = models.empty(networks, 3, WINDOW)
            again = batch["decoder_input_tokens"][:, start - KEPT : start]
            _, cache = read(again, again, cache, jnp.int32(0), parameters)
            at = KEPT
        own = (batch[f"decoder_{name}_tokens"][:, start:][:, :CHUNK] for name in NAMES)
        inputs, targets = (np.pad(each, ((0, 0), (0, CHUNK - each.shape[1]))) for each in own)
        expected, cache = read(inputs, targets, cache, jnp.int32(at), parameters)
        count = min(CHUNK, LENGTH - start)
        np.testing.assert_array_equal(found[:, start : start + count], expected[:, :count])
        window = {name: each[:, start - at : start + count] for name, each in batch.items()}
        whole = forward(parameters, window)[:, at:]
        np.testing.assert_allclose(found[:, start : start + count], whole, rtol=2e-5, atol=2e-5)
        at += CHUNK


@pytest.mark.parametrize("family", FAMILIES)
def test_no_token_is_scored_by_what_saw_it(family, models_of, tokens):
    """Other tokens from some place on change nothing before it, and something behind it."""
    found = log_probs(models_of[family], OPTIMISED, tokens)
    for place in (5, 13, 17, 29):
        changed = tokens.copy()
        changed[:, place:] = (changed[:, place:] + 7) % VOCAB
        other = log_probs(models_of[family], OPTIMISED, changed)
        np.testing.assert_array_equal(other[:, :place], found[:, :place])
        assert (other[:, place:] != found[:, place:]).all(axis=0).any()


def test_the_step_of_a_chunk_changes_only_what_follows_it(models_of, tokens):
    """The loss of the chunk is the same without its step; that of the next one is not."""
    ours, others = (Steps(models_of["gpt2"], OPTIMISED) for _ in range(2))
    first, second, third = chunks_of(tokens)[:3]
    ours.read(first), others.read(first)
    silent = second._replace(counted=jnp.zeros_like(second.counted))
    np.testing.assert_array_equal(ours.read(second), others.read(silent))
    assert (ours.read(third) != others.read(third)).all(axis=0).any()


def test_a_step_goes_down_the_loss_of_its_chunk(models_of, tokens):
    """Read again behind the states as they are then, what was scored is likelier."""
    steps = Steps(models_of["gpt2"], dataclasses.replace(OPTIMISED, step_size=1e-3))
    first, second = chunks_of(tokens)[:2]
    steps.read(first)
    before = steps.memory
    found = steps.read(second)
    moved = before._replace(offsets=jax.tree.map(lambda part: part, steps.memory.offsets))
    again = Steps(models_of["gpt2"], PLAIN)
    again.memory = moved
    assert (again.read(second).sum(axis=1) > found.sum(axis=1)).all()


def test_steps_are_those_of_adam_for_each_state(models_of, tokens):
    """By optax, of the gradients of two steps, for states that took both and those of one; what is
    not there yet does not move.
    """
    models, _ = model = models_of["gpt2"]
    steps = Steps(model, OPTIMISED)
    chunks = chunks_of(tokens)[:3]
    adam = optax.adam(OPTIMISED.step_size)
    expected = {}
    for number, chunk in enumerate(chunks):
        before = steps.memory
        states = functools.partial(jax.tree.map, jnp.add, before.read)

        def loss(offsets, before=before, chunk=chunk, states=states):
            logits, _ = models.read(steps.networks, chunk.inputs, states(offsets), before.filled)
            log_probs = jax.nn.log_softmax(logits)
            return -jnp.take_along_axis(log_probs, chunk.targets[..., None], axis=-1).sum()

        gradients = jax.grad(loss)(before.offsets)
        for own in range(number):
            part = slice(own * CHUNK, (own + 1) * CHUNK)
            gradient = jax.tree.map(lambda leaf, part=part: leaf[..., part, :], gradients)
            zeros = jax.tree.map(jnp.zeros_like, gradient)
            offset, state = expected.get(own, (zeros, adam.init(zeros)))
            update, state = adam.update(gradient, state)
            expected[own] = optax.apply_updates(offset, update), state
        steps.read(chunk)
    np.testing.assert_array_equal(steps.memory.steps, [2] * 4 + [1] * 4 + [0] * 6)
    for own, (offset, _) in expected.items():
        found = jax.tree.map(
            lambda leaf, own=own: leaf[..., own * CHUNK : (own + 1) * CHUNK, :],
            steps.memory.offsets,
        )
        # Where a gradient is near 0 a step of Adam is not, whatever it is rounded to.
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(offset), strict=True):
            assert np.mean(np.abs(a - b) > 1e-4) < 1e-3
            assert np.abs(b).max() > 0.04
    for leaf in jax.tree.leaves(steps.memory.offsets):
        np.testing.assert_array_equal(leaf[..., 2 * CHUNK :, :], 0)


def test_products_of_integers_take_the_steps_of_their_values(tokens):
    """They have no gradient of their own, and none would be a silent step of 0."""
    config = tiny_model(vocab_size=VOCAB, architecture=Layout.LM)
    config = dataclasses.replace(config, quantization=QuantizationConfig())
    rng = np.random.default_rng(1)

    def leaf(path, shape):
        if path[-1].key == "input_range":
            return jnp.broadcast_to(jnp.array([-3.0, 3.0]), shape.shape)
        return jnp.asarray(0.3 * rng.standard_normal(shape.shape, np.float32))

    parameters = jax.tree_util.tree_map_with_path(leaf, transformer.abstract_parameters(config))
    found = []
    for own, values in ((config, parameters), transformer.quantize(config, parameters)):
        steps = Steps((Ensemble((own,)), (values,)), OPTIMISED)
        for chunk in chunks_of(tokens)[:2]:
            steps.read(chunk)
        found.append(steps.memory.first)
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_offsets_and_moments_move_with_their_tokens(family, models_of, tokens):
    """When a window is full its newer part stands in front, to the last bit; what they belong to is
    what reading the tokens there gives, behind the same offsets.
    """
    models, _ = model = models_of[family]
    steps = Steps(model, OPTIMISED)
    for chunk in chunks_of(tokens)[:3]:
        steps.read(chunk)
    before = steps.memory
    after = jax.jit(functools.partial(hidden_states.shifted, models, steps.networks, OPTIMISED))(
        before
    )
    filled = int(before.filled)
    assert (filled, int(after.filled)) == (3 * CHUNK, KEPT)
    for name in ("offsets", "first", "second"):
        pairs = zip(*(jax.tree.leaves(getattr(each, name)) for each in (before, after)))
        for old, new in pairs:
            np.testing.assert_array_equal(new[..., :KEPT, :], old[..., filled - KEPT : filled, :])
            np.testing.assert_array_equal(new[..., KEPT:, :], 0)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(before.first))
    np.testing.assert_array_equal(after.steps[:KEPT], before.steps[filled - KEPT : filled])
    np.testing.assert_array_equal(after.tokens[:, :KEPT], before.tokens[:, filled - KEPT : filled])
    cache = models.empty(steps.networks, 3, WINDOW)
    _, seen = models.read(steps.networks, after.tokens[:, :KEPT], cache, jnp.int32(0))
    for a, b in zip(jax.tree.leaves(after.read), jax.tree.leaves(seen), strict=True):
        np.testing.assert_allclose(a[..., :KEPT, :], b[..., :KEPT, :], rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def engine_of(gpt2_of, mesh, random_parameters):
    """(num_partitions, devices, seeds) -> an engine of GPT-2s."""

    def make(num_partitions, devices, seeds=(0,)):
        config = gpt2_of(VOCAB_SIZE=VOCAB, MAX_LENGTH=MAX_LENGTH)
        partitioner = mesh(num_partitions, devices)
        abstract = abstract_parameters(config, partitioner)
        members = [place_parameters(random_parameters(config, seed), abstract) for seed in seeds]
        return Engine(Ensemble((config,) * len(seeds), Average.LOGITS), members, partitioner)

    return make


def test_batches_order_and_mesh_change_nothing(engine_of, tokens):
    """Texts of lengths that differ, some longer than the positions that were learned; one device
    and 4 x 2. Parameters stay as they are. A first step of Adam is as large where a gradient is
    next to 0, whichever sign rounding gives it: hence the tolerance.
    """
    one, two = (row.tolist() for row in tokens[:2])
    pairs = [([], [*one, 3]), (two, [5, 6]), ([4], [7, 8]), ([9] * 20, [2] * 9)]
    inputs, targets = map(list, zip(*pairs, strict=True))
    alone, engine = engine_of(1, 1), engine_of(2, 8)
    before = jax.tree.map(np.array, engine.parameters)
    expected = alone.score(inputs, targets, batch_size=1, hidden_states=OPTIMISED)
    for order in (slice(None), slice(None, None, -1)):
        found = engine.score(inputs[order], targets[order], batch_size=8, hidden_states=OPTIMISED)
        for one, other in zip(found, expected[order], strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)
    jax.tree.map(np.testing.assert_array_equal, before, engine.parameters)
    plain = alone.score(inputs[2:3], targets[2:3], batch_size=1)
    np.testing.assert_allclose(expected[2], plain[0], rtol=1e-5)
    with pytest.raises(UserError, match="positions"):
        alone.score(inputs, targets, batch_size=1)


def test_an_ensemble_is_optimised_together(engine_of, tokens):
    """Of twice the same member it is that member, which two different ones are not."""
    given = {"batch_size": 1, "hidden_states": OPTIMISED}
    (one,), (twice,), (two,) = (
        engine_of(1, 1, seeds).score([[]], [tokens[0].tolist()], **given)
        for seeds in ((0,), (0, 0), (0, 1))
    )
    # Each member's gradient is half, of which Adam takes the sign.
    np.testing.assert_allclose(twice, one, rtol=2e-3, atol=2e-3)
    assert np.abs(two - one).max() > 0.1


def test_texts_are_scored_and_ranked_with_it(mesh, random_parameters):
    """Of any length; a score is the sum of its tokens, and the best option the likeliest."""
    config = tiny_model(vocab_size=384, architecture=Layout.LM)
    partitioner = mesh(1, 1)
    abstract = abstract_parameters(config, partitioner)
    member = place_parameters(random_parameters(config), abstract)
    engine = Engine(Ensemble((config,)), [member], partitioner)
    model = TextModel(engine, ByteTokenizer(125), batch_size=2)
    given = {"hidden_states": OPTIMISED}
    (tokens,) = model.score_tokens(["so far"], [" so good and no further"], **given)
    assert len(tokens) == len(" so good and no further") + 1
    (score,) = model.score(["so far"], [" so good and no further"], **given)
    assert score == pytest.approx(float(tokens.sum()), rel=1e-5)
    assert score != pytest.approx(model.score(["so far"], [" so good and no further"])[0], rel=1e-4)
    options = [" so good", " so bad"]
    scores = model.score(["so far and"] * 2, options, **given)
    assert model.rank(["so far and"], options, **given) == [int(np.argmax(scores))]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chunk": 0}, "chunk=0: needed is at least 1"),
        ({"step_size": -0.1}, "step_size=-0.1: needed is at least 0.0"),
        ({"window": 3}, "window=3 is smaller than chunk=4"),
        ({"window": MAX_LENGTH + 1}, f"has learned {MAX_LENGTH} positions: needed is at most"),
        ({"window": None, "chunk": MAX_LENGTH + 1}, "is smaller than chunk=25"),
    ],
)
def test_bad_values_are_one_error_each(fields, message, models_of):
    with pytest.raises(UserError, match=message):
        hidden_states.scorer(models_of["gpt2"][0], dataclasses.replace(OPTIMISED, **fields))


def test_models_that_do_not_read_from_left_to_right_are_refused(models_of):
    """Nor is a window made up for one that has no most."""
    for layout in (Layout.ENCODER_DECODER, Layout.PREFIX_LM):
        models = Ensemble((tiny_model(vocab_size=VOCAB, architecture=layout),))
        with pytest.raises(UserError, match=f"layout '{layout.value}'.* needed is a language"):
            hidden_states.scorer(models, OPTIMISED)
    anything = dataclasses.replace(OPTIMISED, window=None)
    assert hidden_states.window_of(models_of["gpt2"][0], anything) == MAX_LENGTH
    with pytest.raises(UserError, match="STATE_WINDOW=512"):
        hidden_states.scorer(models_of["t5"][0], anything)
    with pytest.raises(UserError, match="prompt"):
        prompted = dataclasses.replace(models_of["gpt2"][0].members[0], prompt_length=2)
        hidden_states.scorer(Ensemble((prompted,)), OPTIMISED)
