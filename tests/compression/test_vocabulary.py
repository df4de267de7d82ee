"""A model with fewer rows says of those it has what it said before."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.compression import vocabulary
from t5x_lite.features.layouts import Layout
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.testing import tiny_model
from t5x_lite.text.trimming import moved

VOCAB, NUM_IDS = 48, 40
KEPT = (0, 1, 2, 5, 7, 11, 12, 20, 33, 39)
BERT = {"EMBED_DIM": 16, "MLP_DIM": 16, "NUM_HEADS": 2, "NUM_ENCODER_LAYERS": 1, "MAX_LENGTH": 8}


def bert():
    """A head with a dense layer and a bias, of an encoder by itself."""
    macros = [
        ("--gin", f"{name}={value}") for name, value in (BERT | {"VOCAB_SIZE": VOCAB}).items()
    ]
    found = gin_config.resolve(ModelConfig, ["models/bert.gin"], overrides=macros).config
    return dataclasses.replace(found, special=tiny_model(VOCAB).special, dropout_rate=0.0)


MODELS = {
    "tied": lambda: tiny_model(VOCAB),
    "untied": lambda: tiny_model(VOCAB, logits_via_embedding=False),
    "language model": lambda: tiny_model(VOCAB, Layout.LM),
    "encoder": bert,
}


def draw(model):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32),
        transformer.abstract_parameters(model),
    )


def logits(model, parameters, tokens):
    ones = jnp.ones(tokens.shape, jnp.int32)
    batch = {f"{stack}_input_tokens": jnp.asarray(tokens, jnp.int32) for stack in model.stacks}
    batch |= {f"{stack}_segment_ids": ones for stack in model.stacks}
    return np.asarray(jax.jit(transformer.logits, static_argnums=0)(model, parameters, batch))


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_rows(name, int8):
    """Whichever parameters have a row for each piece; float32 sums may be made in another order."""
    model = MODELS[name]()
    parameters = draw(model)
    if int8:
        model, parameters = transformer.quantize(model, jax.tree.map(jnp.asarray, parameters))
    rows = vocabulary.rows_of(KEPT, model, NUM_IDS, multiple_of=16)
    smaller, own = vocabulary.trim(model, parameters, rows, moved(model.special, KEPT))
    assert smaller.vocab_size == len(rows) == 16
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), own)
    wanted = jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), transformer.abstract_parameters(smaller)
    )
    assert shapes == wanted
    few = np.random.default_rng(1).integers(0, len(KEPT), (2, 6))
    before = logits(model, parameters, rows[few])[..., rows]
    np.testing.assert_allclose(logits(smaller, own, few), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("multiple_of", [1, 8, 16, 41, 100])
def test_rows_are_the_models_own_each_once(multiple_of):
    """Nothing is made up and nothing doubled, so no row has a part of another's probability; those
    behind the pieces fill before those that go.
    """
    model = tiny_model(VOCAB)
    rows = vocabulary.rows_of(KEPT, model, NUM_IDS, multiple_of).tolist()
    assert tuple(rows[: len(KEPT)]) == KEPT and len(set(rows)) == len(rows)
    assert len(rows) == min(VOCAB, -(-len(KEPT) // multiple_of) * multiple_of)
    filling = rows[len(KEPT) :]
    assert filling == [*range(NUM_IDS, VOCAB), *sorted({*range(NUM_IDS)} - {*KEPT})][: len(filling)]


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_pieces_are_counted(name):
    """What a model has more for each further piece, times its pieces."""
    model = MODELS[name]()
    larger = dataclasses.replace(model, vocab_size=VOCAB + 1)
    each = transformer.num_parameters(larger) - transformer.num_parameters(model)
    assert vocabulary.num_in_vocabulary(model) == each * VOCAB
