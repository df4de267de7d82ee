"""Laws of decoders that improve whole targets, on models that are known in full."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.refinement import Denoiser, Draft, Refinement, refine
from t5x_lite.decoding.schedules import LowTemperature, MaskPredict, chosen, drawn_again, tell
from t5x_lite.decoding.strategies import MaskPredictConfig, SundaeConfig
from t5x_lite.errors import UserError

VOCAB, END, PADDING, MASK = 12, 1, 0, 2
LENGTH = 9


def denoiser(logits_of, length_scores=None):
    """A model of a function of tokens and of where there are some."""

    def read(tokens, is_real, function, *features):
        return function(logits_of(tokens, is_real), *features)

    return Denoiser(read, VOCAB, END, PADDING, MASK, length_scores)


def knows(target, sureness=8.0):
    """Whatever it reads it restores one target, less surely the further behind."""
    sure = sureness - jnp.arange(len(target))[:, None] / 10
    logits = sure * jax.nn.one_hot(jnp.asarray(target), VOCAB)

    def logits_of(tokens, is_real):
        return jnp.broadcast_to(logits[None], (*tokens.shape, VOCAB))

    return logits_of


def spreads(target):
    """It knows a token only where the one before it is right: a step repairs one position."""
    own = jnp.asarray(target)[None]

    def logits_of(tokens, is_real):
        is_right = jnp.pad(tokens == own, ((0, 0), (1, 0)), constant_values=True)[:, :-1]
        told = jnp.where(is_right, own, (tokens + 1) % VOCAB)
        return 20.0 * jax.nn.one_hot(told, VOCAB)

    return logits_of


TARGET = [5, 7, 3, 9, 11, 4, 6, 8, END]


def run(schedule, logits_of, *, lengths=(LENGTH,), indices=None, **settings):
    indices = jnp.arange(len(lengths)) if indices is None else jnp.asarray(indices)
    examples = Examples(indices, None, None, jnp.asarray(lengths))
    refinement = Refinement(schedule, LENGTH, **settings)
    return jax.jit(lambda own: refine(refinement, denoiser(logits_of), own))(examples)


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("kind", ["sundae", "mask"])
def test_calls_are_no_more_than_steps(kind, steps, length):
    """Whatever the length is, and with a model that never comes to an end."""

    def restless(tokens, is_real):
        return 5.0 * jax.nn.one_hot((tokens + 1) % VOCAB, VOCAB)

    schedule = LowTemperature(steps, 0.5, 0.3) if kind == "sundae" else MaskPredict(steps)
    found = run(schedule, restless, lengths=(length, length))
    assert 1 <= int(found.num_calls) <= steps
    if kind == "sundae":
        assert int(found.num_calls) == steps
    # Mask-predict ends once less than a token would be masked.
    elif steps > 1:
        expected = next(t for t in range(steps) if length * (steps - 1 - t) // steps == 0) + 1
        assert int(found.num_calls) == expected


def test_a_fixed_point_ends_it():
    """All rows are what they would become: one call more than it took to get there."""
    cold = LowTemperature(20, 1e-3, 1.0)
    found = run(cold, knows(TARGET))
    assert found.decoded.tokens[0, 0].tolist() == TARGET
    assert int(found.num_calls) == 2
    # A row that is done stays as it is while others go on.
    chain = run(LowTemperature(20, 1e-3, 1.0), spreads(TARGET), lengths=(1, LENGTH))
    assert chain.decoded.tokens[0, 0].tolist() == [TARGET[0], *[PADDING] * (LENGTH - 1)]
    assert chain.decoded.tokens[1, 0].tolist() == TARGET
    assert int(chain.num_calls) == LENGTH + 1


@pytest.mark.parametrize("kind", ["sundae", "mask"])
def test_a_loop_does_what_its_steps_do_one_by_one(kind):
    """scan == unrolled: the while loop against steps called from Python."""
    if kind == "sundae":
        schedule, logits_of = LowTemperature(6, 0.7, 0.4), knows(TARGET, 2.0)
    else:
        schedule, logits_of = MaskPredict(6), knows(TARGET, 2.0)
    model = denoiser(logits_of)
    found = run(schedule, logits_of)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(0), 0), 1)
    is_real = jnp.ones((1, LENGTH), bool)
    own = jax.vmap(lambda key: jax.random.fold_in(key, 6))(keys)
    draft = schedule.begin(model, own, is_real)
    for step in range(6):
        own = jax.vmap(lambda key, step=step: jax.random.fold_in(key, step))(keys)
        draft, ends = schedule.improve(model, own, draft, jnp.int32(step))
        if bool(ends.all()):
            break
    is_before_end = np.cumsum(np.asarray(draft.tokens[0]) == END) <= 1
    expected = np.where(is_before_end, draft.tokens[0], PADDING)
    np.testing.assert_array_equal(found.decoded.tokens[0, 0][: len(expected)], expected)


def test_what_is_drawn_does_not_depend_on_the_batch():
    """An example is known by its number, wherever its row is."""

    def follows(tokens, is_real):
        return jax.nn.one_hot((tokens + 1) % VOCAB, VOCAB)

    schedule = LowTemperature(3, 1.0, 0.5)
    together = run(schedule, follows, lengths=(5, 7, LENGTH), indices=(4, 9, 2), num_lengths=2)
    alone = run(schedule, follows, lengths=(7,), indices=(9,), num_lengths=2)
    np.testing.assert_array_equal(together.decoded.tokens[1], alone.decoded.tokens[0])
    np.testing.assert_allclose(together.decoded.scores[1], alone.decoded.scores[0], rtol=1e-6)
    other = run(schedule, follows, lengths=(7,), indices=(9,), num_lengths=2, seed=1)
    assert (other.decoded.tokens[0] != alone.decoded.tokens[0]).any()


def test_lengths_are_tried_and_ordered_by_what_they_score():
    """The likeliest lengths are tried, and the one whose tokens are the likeliest comes first."""

    def logits_of(tokens, is_real):
        length = jnp.sum(is_real, axis=1)
        sure = 1.0 + 5.0 * (length == 4)
        is_end = jnp.arange(LENGTH)[None] == length[:, None] - 1
        told = jnp.where(is_end, END, 7)
        return sure[:, None, None] * jax.nn.one_hot(told, VOCAB)

    scores = jnp.asarray([[0.0, 1.0, 9.0, 5.0, 0.0, 0.0, 3.0, 0.0, 0.0]])
    model = denoiser(logits_of, scores)
    refinement = Refinement(LowTemperature(3, 0.1, 1.0), LENGTH, num_lengths=3, num_decodes=2)
    examples = Examples(jnp.arange(1), None, None, None)
    found = refine(refinement, model, examples).decoded
    assert found.tokens.shape == (1, 2, LENGTH)
    first, second = found.tokens[0].tolist()
    assert first == [7, 7, 7, END, *[PADDING] * 5]
    assert second[:2] == [7, 7] and second.count(7) in (2, 6)
    assert found.scores[0, 0] > found.scores[0, 1]
    np.testing.assert_allclose(found.log_probs[0, 0], 4 * found.scores[0, 0], rtol=1e-5)
    asked = refine(refinement, model, examples._replace(lengths=jnp.asarray([6]))).decoded
    assert asked.tokens[0, 0].tolist() == [7] * 5 + [END, *[PADDING] * 3]


def test_masks_that_were_least_sure_are_told_again():
    """In 3 steps of 9 tokens 6 are masked again, then 3: those the furthest behind, that are the
    least sure; and a model that sees more is told more.
    """
    reads = []

    def logits_of(tokens, is_real):
        reads.append(np.asarray(tokens[0]))
        return knows(TARGET)(tokens, is_real)

    schedule, model = MaskPredict(3), denoiser(logits_of)
    keys = jax.random.split(jax.random.key(0), 1)
    draft = schedule.begin(model, keys, jnp.ones((1, LENGTH), bool))
    for step in range(3):
        draft, ends = schedule.improve(model, keys, draft, jnp.int32(step))
        assert bool(ends[0]) == (step == 2)
    assert [int((read == MASK).sum()) for read in reads] == [9, 6, 3]
    np.testing.assert_array_equal(reads[2], [*TARGET[:6], *[MASK] * 3])
    assert draft.tokens[0].tolist() == TARGET


def test_masks_and_forbidden_tokens_are_never_written():
    """Even where the model would like to."""

    def logits_of(tokens, is_real):
        likes = jnp.zeros(VOCAB).at[MASK].set(9.0).at[11].set(8.0).at[5].set(7.0)
        return jnp.broadcast_to(likes[None, None], (*tokens.shape, VOCAB))

    for schedule in (LowTemperature(2, 0.1, 1.0), MaskPredict(2)):
        assert run(schedule, logits_of).decoded.tokens[0, 0].tolist() == [11] * LENGTH
        found = run(schedule, logits_of, first_forbidden=10)
        assert found.decoded.tokens[0, 0].tolist() == [5] * LENGTH


def test_a_share_of_the_positions_is_drawn():
    """As many as the share says, at least one, each as often as any other."""
    rows, lengths = 3_000, jnp.asarray([1, 4, LENGTH])
    keys = jax.random.split(jax.random.key(0), rows)
    is_real = jnp.arange(LENGTH)[None] < jnp.tile(lengths, rows // 3)[:, None]
    for share, counts in ((0.01, (1, 1, 1)), (0.5, (1, 2, 4)), (1.0, (1, 4, LENGTH))):
        found = np.asarray(chosen(keys, is_real, share))
        assert not (found & ~np.asarray(is_real)).any()
        for number, count in enumerate(counts):
            own = found[number::3]
            assert (own.sum(axis=1) == count).all()
            share_of_each = own.mean(axis=0)[: int(lengths[number])]
            expected = count / int(lengths[number])
            assert np.abs(share_of_each - expected).max() < 4 * np.sqrt(0.25 / (rows / 3)) + 1e-9


def test_one_position_a_step_is_gibbs_sampling():
    """Three tokens of three kinds: the joint itself is stationary, within 4 standard errors, and is
    reached from anywhere (GMLM: the conditionals of one joint).
    """
    kinds, size, chains, steps = 3, 3, 40_000, 40
    rng = np.random.default_rng(0)
    joint = jnp.asarray(rng.dirichlet(np.ones(kinds**size)).reshape((kinds,) * size))

    def logits_of(tokens, is_real):
        """Of each position given the others, whatever stands there itself."""
        conditionals = [
            jnp.log(jnp.moveaxis(joint, at, -1)[tuple(tokens[:, o] for o in others)])
            for at in range(size)
            for others in [[other for other in range(size) if other != at]]
        ]
        return jnp.stack(conditionals, axis=1)

    def read(tokens, is_real, function, *features):
        return function(logits_of(tokens, is_real), *features)

    model = Denoiser(read, kinds, END, PADDING)
    is_real = jnp.ones((chains, size), bool)
    nothing = jnp.zeros((chains, size))

    def frequencies(start, count):
        def step(number, tokens):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(5), number), chains)
            draft = Draft(tokens, nothing, nothing > 0, is_real)
            told = tell(model, keys, draft, 1.0)
            return drawn_again(keys, draft, told, 1 / size).tokens

        found = np.asarray(jax.jit(lambda own: jax.lax.fori_loop(0, count, step, own))(start))
        cells = np.ravel_multi_index(tuple(found.T), (kinds,) * size)
        return np.bincount(cells, minlength=kinds**size) / chains

    expected = np.asarray(joint).ravel()
    error = 4 * np.sqrt(expected * (1 - expected) / chains)
    drawn = rng.choice(kinds**size, chains, p=expected.astype(float) / expected.sum())
    start = jnp.asarray(np.stack(np.unravel_index(drawn, (kinds,) * size), axis=1), jnp.int32)
    assert (np.abs(frequencies(start, 1) - expected) < error).all()
    anywhere = jnp.zeros((chains, size), jnp.int32)
    assert (np.abs(frequencies(anywhere, 1) - expected) > error).any()
    assert (np.abs(frequencies(anywhere, steps) - expected) < error).all()


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (SundaeConfig, {"num_steps": 0}),
        (SundaeConfig, {"share": 0.0}),
        (SundaeConfig, {"share": 1.01}),
        (SundaeConfig, {"temperature": 0.0}),
        (SundaeConfig, {"num_lengths": 0}),
        (MaskPredictConfig, {"num_steps": 0}),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(config, fields):
    """With the name of what is wrong."""
    with pytest.raises(UserError, match=next(iter(fields))):
        config(**fields)
