"""The score of a target is the sum of a decode that is made to write it, for every layout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.search import decode
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.batching import Group
from t5x_lite.inference.reading import Reading

LENGTH = 3
DECODERS = [layout for layout in Layout if layout is not Layout.ENCODER]


@pytest.fixture(scope="module")
def asked():
    """Seven prompts of 1 to 9 tokens, each with three tokens behind it."""
    rng = np.random.default_rng(7)
    inputs = [rng.integers(3, 29, size).tolist() for size in (4, 1, 9, 2, 7, 7, 3)]
    return inputs, rng.integers(3, 29, (len(inputs), LENGTH))


def forced(engine, prompt, target):
    """The sum of log-probabilities, token by token with a cache; no batch, no padding."""
    features = Reading(engine.models.members[0]).prompts([prompt], Group((0,), 1, len(prompt)))

    def run(parameters, features, target):
        networks = engine.models.prepare(parameters)
        logits, cache = engine.models.start(networks, features, max_decode_length=LENGTH)
        model = engine.models.language_model(networks)
        search = greedy(max_decode_length=LENGTH)
        examples = Examples(jnp.zeros(1, jnp.int32), target[None])
        return decode(search, logits, cache, model, examples=examples).log_probs[0]

    return float(jax.jit(run)(engine.parameters, features, jnp.asarray(target, jnp.int32))[0])


@pytest.mark.parametrize("layout", DECODERS, ids=lambda layout: layout.value)
def test_scores_are_those_of_a_forced_decode_whatever_the_batch_and_mesh(layout, engine_of, asked):
    """One device and one row against 4 x 2 devices, batches of 4 and another order."""
    inputs, targets = asked
    alone = engine_of(architecture=layout, num_partitions=1, devices=1)
    expected = [forced(alone, *pair) for pair in zip(inputs[:3], targets[:3], strict=True)]
    found = alone.score(inputs, targets.tolist(), batch_size=7)
    np.testing.assert_allclose([each.sum() for each in found[:3]], expected, rtol=1e-5, atol=1e-5)
    order = np.array([5, 0, 3, 6, 1, 4, 2])
    meshed = engine_of(architecture=layout)
    other = meshed.score([inputs[i] for i in order], targets[order].tolist(), batch_size=4)
    for place, each in zip(order, other, strict=True):
        np.testing.assert_allclose(each, found[place], rtol=1e-4, atol=1e-5)
