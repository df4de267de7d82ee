"""Matching a teacher inside: values by their definitions, 0 for a copy, alike packed and alone."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import MEAN_SCORES, SCORES, STATES, Outputs
from t5x_lite.losses.config import LossNormalization
from t5x_lite.losses.states_config import (
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
)
from t5x_lite.losses.table import make_loss
from t5x_lite.model import transformer
from t5x_lite.model.projections_config import ProjectionsConfig
from t5x_lite.testing import tiny_model

CONFIGS = (
    MatchDirectionConfig(),
    MatchInputConfig(),
    MatchStatesConfig(),
    MatchScoresConfig(),
    MatchScoresConfig(mean_over_heads=True),
)
EACH = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
# Two examples in the first row, one in the second, and padding.
SEGMENTS = np.asarray([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 0, 0]])
REAL = SEGMENTS > 0
BATCH = {
    "encoder_segment_ids": jnp.asarray(SEGMENTS),
    "encoder_target_tokens": jnp.zeros(SEGMENTS.shape, jnp.int32),
}
WIDTH, HEADS = 4, 3


def outputs(seed, layers):
    """Of a stack of so many layers; no query sees a key of another example."""
    rows, length = SEGMENTS.shape
    last, states, scores = jax.random.split(jax.random.key(seed), 3)
    same = SEGMENTS[:, None, :, None] == SEGMENTS[:, None, None, :]
    scores = jax.random.normal(scores, (layers, rows, HEADS, length, length)) * same[None]
    inside = {
        STATES: jax.random.normal(states, (layers + 1, rows, length, WIDTH)),
        SCORES: scores,
        MEAN_SCORES: scores.mean(axis=2),
    }
    hidden = {"encoder": jax.random.normal(last, (rows, length, WIDTH))}
    return Outputs({}, hidden, None, {f"encoder/{name}": x for name, x in inside.items()})


def value_of(config, ours, theirs, batch=BATCH):
    return make_loss([config])(ours, theirs, batch, training=True)


def expected_costs(config, ours, theirs):
    """At each position, one layer, head and token after the other."""
    inside = [{k: np.asarray(v, np.float64) for k, v in o.inside.items()} for o in (ours, theirs)]
    states, scores, means = (
        [i[f"encoder/{n}"] for i in inside] for n in (STATES, SCORES, MEAN_SCORES)
    )
    costs = np.zeros(SEGMENTS.shape)
    for row, place in np.argwhere(REAL):
        at = (row, place)
        if isinstance(config, MatchDirectionConfig):
            one, two = (np.asarray(o.hidden["encoder"], np.float64)[at] for o in (ours, theirs))
            costs[at] = 1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        elif isinstance(config, MatchInputConfig):
            costs[at] = np.mean((states[0][0][at] - states[1][0][at]) ** 2)
        elif isinstance(config, MatchStatesConfig):
            for layer, its in ((1, 2), (2, 4)):
                costs[at] += np.mean((states[0][layer][at] - states[1][its][at]) ** 2)
        else:
            own = SEGMENTS[row] == SEGMENTS[at]
            for layer, its in ((0, 1), (1, 3)):
                if config.mean_over_heads:
                    costs[at] += np.mean((means[0][layer][at] - means[1][its][at])[own] ** 2)
                    continue
                for head in range(HEADS):
                    pair = (row, head, place)
                    apart = (scores[0][layer][pair] - scores[1][its][pair])[own]
                    costs[at] += np.mean(apart**2) / HEADS
    return costs


@EACH
def test_values_are_those_of_their_definitions(config):
    """The mean over real tokens, of a student of two layers and a teacher of four."""
    ours, theirs = outputs(0, 2), outputs(1, 4)
    value, sums = value_of(config, ours, theirs)
    costs = expected_costs(config, ours, theirs)
    np.testing.assert_allclose(value, costs[REAL].mean(), rtol=1e-5)
    np.testing.assert_allclose(sums["loss_sum"], costs.sum(), rtol=1e-5)
    assert sums["weight_sum"] == REAL.sum()


@EACH
def test_examples_may_count_alike(config):
    """The mean of the three examples' means."""
    ours, theirs = outputs(0, 2), outputs(1, 4)
    rule = LossNormalization.AVERAGE_PER_SEQUENCE
    value, _ = value_of(dataclasses.replace(config, normalizing_factor=rule), ours, theirs)
    costs = expected_costs(config, ours, theirs)
    means = [costs[0, :3].mean(), costs[0, 3:5].mean(), costs[1, :4].mean()]
    np.testing.assert_allclose(value, np.mean(means), rtol=1e-5)


def test_layers_are_matched_as_said():
    """By default those of the uniform map; another map is another loss."""
    ours, theirs = outputs(0, 2), outputs(1, 4)
    for config in (MatchStatesConfig(), MatchScoresConfig()):
        default, _ = value_of(config, ours, theirs)
        said = {
            layers: value_of(dataclasses.replace(config, teacher_layers=layers), ours, theirs)[0]
            for layers in ((2, 4), (1, 4))
        }
        assert default == said[2, 4]
        assert abs(said[1, 4] - default) > 1e-3


@pytest.mark.parametrize(
    ("given", "ours", "theirs", "message"),
    [
        ((), 2, 5, r"2 layers .* that trains and 5 of its teacher: needed is .* from 1 to 5"),
        ((1, 6), 2, 5, r"teacher_layers=\(1, 6\) of a teacher with 5 layers in its encoder"),
        ((1,), 2, 5, "for a student with 2: needed is a layer from 1 to 5 for each"),
    ],
)
def test_layers_that_are_not_there_are_refused(given, ours, theirs, message):
    with pytest.raises(UserError, match=message):
        MatchStatesConfig(teacher_layers=given).layers(ours, theirs)


def test_configs_that_cannot_be_meant_are_refused():
    with pytest.raises(UserError, match=r"teacher_layers=\(0,\): needed are layers from 1 on"):
        MatchScoresConfig(teacher_layers=(0,))
    with pytest.raises(UserError, match="stack='top': needed is 'encoder' or 'decoder'"):
        MatchInputConfig(stack="top")


@functools.cache
def model_of(layout):
    """A model with projections that change nothing, and a teacher of other parameters."""
    model = tiny_model(32, layout)
    model = dataclasses.replace(model, projections=ProjectionsConfig(width=model.embed_dim))
    parameters = jax.jit(functools.partial(transformer.init_parameters, model))(jax.random.key(0))
    identity = {name: jnp.eye(model.embed_dim) for name in ("input", "states")}
    return model, {**parameters, "projections": identity}


@functools.cache
def loss_of(layout, stack):
    """All terms of a stack, as one compiled function of student, teacher and batch."""
    model, _ = model_of(layout)
    loss = make_loss([dataclasses.replace(config, stack=stack) for config in CONFIGS[:4]])

    def values(parameters, teacher, batch):
        ours = transformer.apply(model, parameters, batch, wanted=loss.wanted)
        theirs = transformer.apply(model.kept, teacher, batch, wanted=loss.wanted_of_teacher)
        return loss(ours, theirs, batch, training=True)

    return jax.jit(jax.value_and_grad(values, has_aux=True))


def kept(parameters):
    return {name: part for name, part in parameters.items() if name != "projections"}


def tokens_of(layout, groups, length=8):
    """A row for each group; its examples are its segments."""
    rows, segments = (np.zeros((len(groups), length), np.int32) for _ in range(2))
    for row, group in enumerate(groups):
        joined = np.concatenate([*group, np.zeros(0, np.int32)])
        rows[row, : len(joined)] = joined
        numbers = [np.full(len(each), n) for n, each in enumerate(group, start=1)]
        segments[row, : len(joined)] = np.concatenate([*numbers, np.zeros(0, np.int32)])
    stacks = ("encoder",) if layout is Layout.ENCODER else ("encoder", "decoder")
    stacks = stacks if layout in (Layout.ENCODER, Layout.ENCODER_DECODER) else ("decoder",)
    batch = {
        f"{stack}_{name}": rows for stack in stacks for name in ("input_tokens", "target_tokens")
    }
    batch |= {f"{stack}_segment_ids": segments for stack in stacks}
    return batch | {"decoder_causal_attention": np.int32(segments > 0)}


CASES = pytest.mark.parametrize(
    ("layout", "stack"),
    [
        (Layout.ENCODER, "encoder"),
        (Layout.ENCODER_DECODER, "encoder"),
        (Layout.ENCODER_DECODER, "decoder"),
        (Layout.LM, "decoder"),
        (Layout.PREFIX_LM, "decoder"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
FIRST, SECOND = np.int32([5, 9, 4, 1]), np.int32([7, 30, 1])


@CASES
def test_a_copy_costs_nothing_and_learns_nothing(layout, stack):
    """Of every architecture, with projections that are the identity."""
    _, parameters = model_of(layout)
    batch = tokens_of(layout, [[FIRST, SECOND], [SECOND]])
    (value, sums), gradients = loss_of(layout, stack)(parameters, kept(parameters), batch)
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    assert sums["weight_sum"] == 10
    for leaf in jax.tree.leaves(gradients):
        np.testing.assert_allclose(leaf, np.zeros_like(leaf), atol=1e-5)


@CASES
def test_packed_costs_what_examples_cost_alone(layout, stack):
    """Every term; and another teacher costs something."""
    _, parameters = model_of(layout)
    teacher = jax.tree.map(lambda leaf: 1.1 * leaf, kept(parameters))
    found = [
        loss_of(layout, stack)(parameters, teacher, tokens_of(layout, groups))[0]
        for groups in ([[FIRST, SECOND], []], [[FIRST], [SECOND]])
    ]
    (_, packed), (_, alone) = found
    assert packed.keys() == alone.keys()
    for name in packed:
        np.testing.assert_allclose(packed[name], alone[name], rtol=2e-5, err_msg=name)
        assert name.endswith("weight_sum") or packed[name] > 1e-5, name
