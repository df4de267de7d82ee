"""Packing is a layout (INV-15): the model's loss on packed rows is the loss on the examples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import TOKENS
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.model import transformer
from t5x_lite.testing import tiny_model

# Ids of the two examples do not overlap, so that embedding rows tell whose gradient it is.
FIRST, SECOND = range(2, 20), range(20, 40)
LENGTHS = {"encoder": (4, 3), "decoder": (3, 5)}
ROW = 10
DECODERS = [layout for layout in Layout if layout is not Layout.ENCODER]
ARCHITECTURES = pytest.mark.parametrize("architecture", DECODERS, ids=lambda kind: kind.name)


def examples():
    """Two examples of inputs and targets, of different lengths."""
    rng = np.random.default_rng(0)
    made = []
    for index, ids in enumerate((FIRST, SECOND)):
        inputs = rng.choice(list(ids), LENGTHS["encoder"][index])
        targets = rng.choice(list(ids), LENGTHS["decoder"][index])
        made.append({"encoder_input_tokens": inputs, "decoder_target_tokens": targets})
    return made


def rows(architecture, *groups):
    """A batch with one row per group; a group's examples are its segments 1, 2, ..."""
    batch = {}
    for row, group in enumerate(groups):
        for name, pieces in features(architecture, group).items():
            batch.setdefault(name, np.zeros((len(groups), ROW), np.int32))
            joined = np.concatenate(pieces)
            batch[name][row, : len(joined)] = joined
    return jax.tree.map(jnp.asarray, batch)


def features(architecture, group):
    found = {}
    for segment, example in enumerate(group, start=1):
        targets = example["decoder_target_tokens"]
        own = {
            "decoder_input_tokens": np.concatenate([[0], targets[:-1]]),
            "decoder_target_tokens": targets,
            "decoder_loss_weights": np.ones(len(targets)),
            "decoder_segment_ids": np.full(len(targets), segment),
        }
        if architecture is Layout.ENCODER_DECODER:
            inputs = example["encoder_input_tokens"]
            own["encoder_input_tokens"] = inputs
            own["encoder_segment_ids"] = np.full(len(inputs), segment)
        if architecture is Layout.PREFIX_LM:
            own["decoder_causal_attention"] = (np.arange(len(targets)) < 2).astype(int)
        for name, values in own.items():
            found.setdefault(name, []).append(values)
    return found


@functools.cache
def model_of(architecture):
    """A model, its parameters, and its loss with gradients as one compiled function."""
    model = tiny_model(64, architecture, logits_via_embedding=False)
    config = LossConfig(z_loss=0.01, normalizing_factor=1.0)

    def loss(parameters, batch):
        scores = transformer.apply(model, parameters, batch).heads[TOKENS]
        return compute_loss(scores, batch, config, training=True)

    init = jax.jit(functools.partial(transformer.init_parameters, model))
    return init(jax.random.key(0)), jax.jit(jax.value_and_grad(loss, has_aux=True))


@ARCHITECTURES
def test_packed_sums_equal_unpacked_sums(architecture):
    """Loss and metrics of one packed row against those of one row per example."""
    (parameters, loss_of), group = model_of(architecture), examples()
    # An empty row makes both batches of one shape, for one compilation.
    (packed, packed_sums), _ = loss_of(parameters, rows(architecture, group, []))
    (alone, sums), _ = loss_of(parameters, rows(architecture, group[:1], group[1:]))
    np.testing.assert_allclose(packed, alone, rtol=1e-5)
    for name in sums:
        np.testing.assert_allclose(packed_sums[name], sums[name], rtol=1e-5, err_msg=name)


@ARCHITECTURES
@pytest.mark.parametrize("segment", [1, 2])
def test_no_gradient_crosses_segments(architecture, segment):
    """The loss of one example moves no embedding row that only the other one uses: exactly zero."""
    parameters, loss_of = model_of(architecture)
    batch = rows(architecture, examples(), [])
    own = batch["decoder_segment_ids"] == segment
    batch["decoder_loss_weights"] = own.astype(jnp.int32)
    _, gradients = loss_of(parameters, batch)
    moved = np.linalg.norm(gradients["token_embedder"]["embedding"], axis=1) > 0
    mine, other = (FIRST, SECOND) if segment == 1 else (SECOND, FIRST)
    assert moved[mine.start : mine.stop].any()
    assert not moved[other.start : other.stop].any()
