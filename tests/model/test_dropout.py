"""Where noise is the same and where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.model import masks, parameter_tree, transformer
from t5x_lite.model.block import Block, LayerCache
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.masks import AttentionMask

ONES = jnp.ones((3, 40, 50))


def noise(dropout, site="site"):
    return np.asarray(dropout(ONES, site))


def test_noise_is_shared_along_the_length():
    """As in the reference: one mask per row and channel, but not one for all rows."""
    dropped = noise(Dropout(0.5, shared_along_length=True, key=jax.random.key(0)))
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], dropped.shape))
    assert (dropped[0] != dropped[1]).any()


def test_noise_can_be_drawn_for_every_position():
    """The flag: without sharing, positions differ."""
    dropped = noise(Dropout(0.5, shared_along_length=False, key=jax.random.key(0)))
    assert (dropped[:, 0] != dropped[:, 1]).any()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_what_is_kept_makes_up_for_what_is_dropped(rate):
    """Values are 0 or 1 / (1 - rate), the zeros as many as the rate says (4 standard errors)."""
    dropped = noise(Dropout(rate, shared_along_length=False, key=jax.random.key(1)))
    np.testing.assert_allclose(dropped[dropped > 0], 1 / (1 - rate), rtol=1e-6)
    standard_error = (rate * (1 - rate) / dropped.size) ** 0.5
    assert abs((dropped == 0).mean() - rate) < 4 * standard_error


def test_sites_and_layers_have_noise_of_their_own():
    """Equal noise at two places would drop the same channels everywhere."""
    dropout = Dropout(0.5, key=jax.random.key(0))
    drawn = [
        noise(dropout, "a"),
        noise(dropout, "b"),
        noise(dropout.fold("encoder"), "a"),
        noise(dropout.fold(0), "a"),
        noise(dropout.fold(1), "a"),
    ]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            assert (first != second).any()


def test_nothing_is_dropped_without_a_key():
    """Evaluation is deterministic, whatever the rate."""
    assert Dropout(0.5)(ONES, "site") is ONES
    assert NO_DROPOUT(ONES, "site") is ONES


def test_layers_of_a_stack_draw_different_noise(monkeypatch, tiny, parameters_of):
    """Layers run by one loop share its code and key: the layer's index must be folded in."""

    def probe(self, x, context, *, cache, dropout):
        return x, LayerCache(dropout(jnp.ones_like(x), "probe"), None)

    monkeypatch.setattr(Block, "__call__", probe)
    config = tiny("lm")
    positions = masks.row_positions(3)
    mask = AttentionMask(
        visibility=config.decoder.visibility, q_positions=positions, kv_positions=positions
    )
    stack = parameter_tree.to_modules(config, parameters_of(config)).decoder
    _, seen = stack(
        jnp.ones((4, 3, 8)),
        config.decoder,
        mask,
        compute=config.compute,
        dropout=Dropout(0.5, key=jax.random.key(0)),
        keep_cache=True,
    )
    of_layer = np.asarray(seen.self_attention)
    assert of_layer.shape == (2, 4, 3, 8)
    assert (of_layer[0] != of_layer[1]).any()


@pytest.mark.parametrize(
    ("architecture", "family"), [("encoder_decoder", "t5_1_0"), ("lm", "gpt2")]
)
def test_steps_differ_and_one_step_repeats_itself(
    architecture, family, tiny, parameters_of, examples_of, unpacked, compiled
):
    """A step's key decides all noise of that step: needed for exact resumption."""
    config = tiny(architecture, family, dropout_rate=0.3)
    batch = unpacked(config, examples_of(config))
    logits = compiled(transformer.logits, config)
    parameters = parameters_of(config)
    first, again, other, none = (
        np.asarray(logits(parameters, batch, dropout_key=key))
        for key in (jax.random.key(1), jax.random.key(1), jax.random.key(2), None)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - none).max() > 1e-3
