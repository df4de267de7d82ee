"""What counts as an unhealthy step, and that it leaves no trace in the state."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.losses.config import LossConfig
from t5x_lite.stability import health
from t5x_lite.stability.config import HealthConfig
from t5x_lite.training.step import make_train_step

CONFIG = HealthConfig(warmup_losses=5, horizon=10)


def after(losses, config=CONFIG, norms=None):
    """Health after these losses, and which of them were bad."""
    judge = jax.jit(
        lambda known, step, loss, norm: health.judge(
            known, step=step, loss_per_token=loss, gradient_norm=norm, config=config
        )
    )
    known, bad = health.initial(), []
    for step, loss in enumerate(losses):
        norm = 1.0 if norms is None else norms[step]
        is_bad, known = judge(known, jnp.int32(step), jnp.float32(loss), jnp.float32(norm))
        bad.append(bool(is_bad))
    return jax.device_get(known), bad


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_halts_at_its_step(loss):
    """Whenever it comes, also at the first step; what was known before stays known."""
    known, bad = after([loss])
    assert bad == [True] and known["halted_at"] == 1
    known, bad = after([3.0, 3.1, loss])
    before, _ = after([3.0, 3.1])
    assert bad == [False, False, True] and known["halted_at"] == 3
    for name in ("loss_mean", "loss_variance", "num_losses"):
        assert known[name] == before[name]
    np.testing.assert_equal(float(known["halted_loss"]), loss)


def test_a_gradient_that_is_not_finite_halts_too():
    """The loss may look sound."""
    known, bad = after([3.0, 3.0], norms=[1.0, math.inf])
    assert bad == [False, True] and known["halted_gradient_norm"] == math.inf


def test_halted_is_halted():
    """No later step counts, however sound, nor does a later one take the blame."""
    known, bad = after([3.0, math.nan, 3.0, math.inf, 2.9])
    assert bad == [False, True, True, True, True]
    assert known["halted_at"] == 2 and known["num_losses"] == 1


def test_the_mean_and_the_variance_are_the_plain_ones_up_to_the_horizon():
    """And forget exponentially behind it."""
    losses = np.random.default_rng(0).normal(3.0, 0.1, 10)
    known, _ = after(losses)
    assert known["loss_mean"] == pytest.approx(losses.mean(), rel=1e-6)
    assert known["loss_variance"] == pytest.approx(losses.var(), rel=1e-3)
    known, _ = after([3.0] * 10 + [3.5])
    assert known["loss_mean"] == pytest.approx(3.0 + 0.5 / 10)
    assert known["loss_variance"] == pytest.approx(0.9 * 0.25 / 10)


@pytest.mark.parametrize(
    ("last", "is_bad"),
    [(3.9, False), (4.4, True), (1.0, False), (-5.0, False)],
    ids=["within the margin", "beyond it", "a fall", "a deep fall"],
)
def test_a_spike_is_a_rise_beyond_margin_and_deviations(last, is_bad):
    """Losses differ by 0.02 here: ten deviations are 0.1, so the margin of 1 nat decides."""
    losses = [3.2, 3.21, 3.19, 3.2, 3.22, 3.18, last]
    assert after(losses)[1] == [False] * 6 + [is_bad]


def test_losses_that_vary_by_themselves_may_rise_further():
    """At a deviation of 0.5 a rise of two nats is nothing, one of six is."""
    losses = [3.0, 4.0] * 5
    assert after([*losses, 5.5])[1][-1] is False
    assert after([*losses, 9.5])[1][-1] is True


def test_no_spike_before_the_warmup_nor_with_spikes_let_pass():
    """The first losses of a model fall and jump; who wants only NaN watched says so."""
    assert after([3.0] * 4 + [9.0])[1][-1] is False
    assert after([3.0] * 5 + [9.0])[1][-1] is True
    unwatched = dataclasses.replace(CONFIG, spike_deviations=None)
    assert after([3.0] * 5 + [9.0], unwatched)[1][-1] is False


def test_reasons_are_words():
    """As the person reads them who finds the run stopped."""
    assert health.reason(math.nan, 1.0, mean=3.2, variance=0.2) == "loss is nan"
    assert health.reason(3.0, math.inf, mean=3.2, variance=0.2) == "gradient norm is inf"
    assert (
        health.reason(9.1, 1.0, mean=3.2, variance=0.25)
        == "loss 9.1 is 11.8 deviations above its mean 3.2"
    )
    assert "never differed" in health.reason(9.1, 1.0, mean=3.0, variance=0.0)


@pytest.mark.parametrize(
    "fields", [{"spike_deviations": 0.0}, {"horizon": 1}, {"max_events": 0}, {"skipped_batches": 0}]
)
def test_settings_that_make_no_sense_are_refused(fields):
    """With what is needed."""
    (name,) = fields
    with pytest.raises(ValueError, match=f"{name}=.*needed is "):
        HealthConfig(**fields)


# The training step.


@pytest.fixture(scope="module")
def train_step(factory):
    """Warm after three losses, so that spikes can be had."""
    config = HealthConfig(warmup_losses=3)
    return make_train_step(factory, (LossConfig(),), seed=0, health=config)


@pytest.fixture(scope="module")
def plain_step(factory):
    """The same without a judge."""
    return make_train_step(factory, (LossConfig(),), seed=0)


def batch(factory, seed):
    """Random tokens."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, 64, (8, 6)).astype(np.int32)
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    features = dict.fromkeys(names, tokens)
    features |= dict.fromkeys(("encoder_segment_ids", "decoder_segment_ids"), np.ones_like(tokens))
    return factory.partitioner.place_batch(features)


def poisoned(batch):
    """Its loss is NaN."""
    # With its type: a weak one is another program.
    weights = jnp.full(batch["decoder_target_tokens"].shape, jnp.nan, jnp.float32)
    return batch | {"decoder_loss_weights": jax.device_put(weights)}


def healthy(batch):
    """With the features of a poisoned one, so that one compiled step takes both."""
    weights = jnp.ones(batch["decoder_target_tokens"].shape)
    return batch | {"decoder_loss_weights": jax.device_put(weights)}


def assert_same(found, expected):
    """Two states, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(found), jax.device_get(expected))


def test_sound_steps_are_those_of_a_run_that_nobody_judges(factory, train_step, plain_step):
    """Two programs, whose sums are fused differently: equal to float32's rounding."""
    judged, plain = factory.initialize(0), factory.initialize(0)
    for seed in range(4):
        judged, metrics = train_step(judged, healthy(batch(factory, seed)))
        plain, plain_metrics = plain_step(plain, healthy(batch(factory, seed)))
        assert metrics["unhealthy_steps"] == 0 and metrics["steps"] == 1
        assert float(metrics["loss"]) == pytest.approx(float(plain_metrics["loss"]), rel=1e-5)
    assert judged.health["num_losses"] == 4 and judged.step == plain.step == 4


def test_a_halted_state_is_the_one_before_the_bad_step(factory, train_step):
    """After any number of further steps; metrics are zeros that count as unhealthy."""
    state, _ = train_step(factory.initialize(0), healthy(batch(factory, 0)))
    before = jax.device_get(state)
    for loss in (poisoned, healthy, healthy):
        state, metrics = train_step(state, loss(batch(factory, 1)))
        assert metrics.pop("unhealthy_steps") == 1
        assert not any(np.asarray(value).any() for value in metrics.values())
    assert state.health["halted_at"] == 2
    assert_same(health.clear(state), before)


def test_skipping_is_a_run_in_which_the_step_is_passed_over(factory, train_step, caplog):
    """Bit for bit, with shardings as before: no second compilation."""
    skipping, passing = factory.initialize(0), factory.initialize(0)
    skipping, _ = train_step(skipping, healthy(batch(factory, 0)))
    skipping, _ = train_step(skipping, poisoned(batch(factory, 1)))
    skipping, _ = train_step(skipping, healthy(batch(factory, 2)))  # of no effect
    skipping = health.pass_over(health.clear(skipping))
    with jax.log_compiles():
        skipping, _ = train_step(skipping, healthy(batch(factory, 2)))
    assert "Compiling jit(step)" not in caplog.text
    passing, _ = train_step(passing, healthy(batch(factory, 0)))
    passing, _ = train_step(health.pass_over(passing), healthy(batch(factory, 2)))
    assert skipping.step == 3
    assert_same(skipping, passing)
    assert jax.tree.map(lambda leaf: leaf.sharding, skipping) == factory.shardings
