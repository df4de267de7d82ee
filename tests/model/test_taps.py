"""What layers make on the way: what it is, however layers run, and nothing where nobody asks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import MEAN_SCORES, SCORES, STATES, Wanted
from t5x_lite.model import taps, transformer
from t5x_lite.model.choices import AttentionForm, Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.testing import tiny_model

ALL = tuple(
    f"{stack}/{what}" for stack in ("encoder", "decoder") for what in (STATES, SCORES, MEAN_SCORES)
)
MODEL = tiny_model(32)
SEGMENTS = np.int32([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])


def batch():
    tokens = np.random.default_rng(0).integers(2, 32, SEGMENTS.shape, np.int32)
    names = ("encoder_input_tokens", "decoder_input_tokens")
    both = {"encoder_segment_ids": SEGMENTS, "decoder_segment_ids": SEGMENTS}
    return jax.tree.map(jnp.asarray, dict.fromkeys(names, tokens) | both)


def parameters_of(model):
    return transformer.init_parameters(model, jax.random.key(0))


def asked(model, wanted, parameters=None):
    parameters = parameters_of(model) if parameters is None else parameters
    return jax.jit(lambda p: transformer.apply(model, p, batch(), wanted=wanted))(parameters)


@pytest.fixture(scope="module")
def found():
    return asked(MODEL, Wanted(("tokens",), ("decoder",), ALL))


def test_shapes_are_those_that_are_said(found):
    assert found.inside["encoder/states"].shape == (3, 2, 6, 32)
    assert found.inside[f"decoder/{SCORES}"].shape == (2, 2, 8, 6, 6)
    assert found.inside[f"decoder/{MEAN_SCORES}"].shape == (2, 2, 6, 6)


def test_the_mean_is_over_heads(found):
    for stack in ("encoder", "decoder"):
        scores, mean = (found.inside[f"{stack}/{name}"] for name in (SCORES, MEAN_SCORES))
        np.testing.assert_allclose(mean, scores.mean(axis=2), rtol=1e-6, atol=1e-6)


def test_scores_of_what_is_not_seen_are_0(found):
    """Of other examples, and of later tokens in a decoder; no other is."""
    same = SEGMENTS[:, :, None] == SEGMENTS[:, None, :]
    for stack, seen in (("encoder", same), ("decoder", same & np.tri(6, dtype=bool))):
        scores = np.asarray(found.inside[f"{stack}/{SCORES}"]).swapaxes(1, 2)
        assert (scores != 0).all(axis=(0, 1)).tolist() == seen.tolist()


def test_the_last_state_makes_the_output(found):
    """By the norm above the stack, which T5 has."""
    last = np.asarray(found.inside["decoder/states"][-1])
    normed = last / np.sqrt(np.mean(last**2, axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(normed, found.hidden["decoder"], rtol=1e-4, atol=1e-5)


def test_the_first_state_is_that_of_the_tokens(found):
    table = parameters_of(MODEL)["token_embedder"]["embedding"]
    expected = table[batch()["encoder_input_tokens"]]
    np.testing.assert_allclose(found.inside["encoder/states"][0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "compute",
    [
        ComputeConfig(scan_unroll=2),
        ComputeConfig(remat=Remat.FULL),
        ComputeConfig(attention=AttentionForm.BLOCKWISE, attention_block=2),
    ],
    ids=["unrolled", "rematerialized", "blockwise"],
)
def test_it_is_the_same_however_layers_run(compute, found):
    """Where scores are asked for attention is dense, whatever form it would have."""
    other = asked(dataclasses.replace(MODEL, compute=compute), Wanted((), (), ALL))
    for name in ALL:
        np.testing.assert_allclose(other.inside[name], found.inside[name], rtol=2e-5, atol=1e-5)


def test_who_does_not_ask_runs_the_same_program():
    """Letter by letter that of a model in which nothing is told."""

    def text(told):
        def logits(parameters):
            return transformer.logits(MODEL, parameters, batch())

        with pytest.MonkeyPatch.context() as patched:
            if not told:
                patched.setattr(taps, "tell", lambda name, make: None)
            return jax.jit(logits).lower(transformer.abstract_parameters(MODEL)).as_text()

    assert text(told=True) == text(told=False)


def test_only_the_stack_that_is_asked_runs():
    """No decoder for the encoder's states."""
    wanted = Wanted((), (), ("encoder/states",))
    own = {name: each for name, each in batch().items() if name.startswith("encoder")}
    outputs = transformer.apply(MODEL, parameters_of(MODEL), own, wanted=wanted)
    assert list(outputs.inside) == ["encoder/states"]


def test_what_is_not_there_is_refused():
    model = tiny_model(32, Layout.LM)
    with pytest.raises(UserError, match="no 'encoder/states'; it has decoder/states, "):
        asked(model, Wanted((), (), ("encoder/states",)))
