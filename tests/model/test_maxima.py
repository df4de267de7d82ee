"""The largest activations: what is reported is what flows, and where it breaks first is found."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t5x_lite.features.outputs import TOKENS
from t5x_lite.model import maxima, transformer
from t5x_lite.model.compute_config import ComputeConfig


@pytest.fixture
def places_of(compiled, parameters_of, unpacked, examples_of):
    """(config, change of the parameters) -> [(place, value)] and logits."""

    def places(config, change=lambda parameters: None):
        parameters = jax.tree.map(np.array, parameters_of(config))
        change(parameters)
        batch = unpacked(config, examples_of(config))
        outputs, found = compiled(transformer.apply_with_maxima, config)(parameters, batch)
        return maxima.in_order(jax.device_get(found)), np.asarray(outputs.heads[TOKENS].all())

    return places


def first_bad(places):
    """The place where numbers stop to be numbers."""
    return next(name for name, value in places if not np.isfinite(value))


def test_every_architecture_reports_its_places_in_order(architecture, tiny, places_of, logits_of):
    """Also that where one stack is encoder and decoder; the logits are those of `apply`."""
    config = tiny(architecture)
    places, logits = places_of(config)
    names = [name for name, _ in places]
    layer = ["self_attention/logits", "self_attention/output"]
    crossed = ["cross_attention/logits", "cross_attention/output"]
    mlp = ["mlp/hidden", "mlp/output", "residual"]
    expected = []
    for stack, parts in (("encoder", layer + mlp), ("decoder", layer + crossed + mlp)):
        if config.encoder is None:
            parts = layer + mlp
            if stack == "encoder":
                continue
        inside = [f"{stack}/layers/{i}/{part}" for i in range(2) for part in parts]
        expected += [f"{stack}/input", *inside, f"{stack}/output"]
    assert names == [*expected, "logits"]
    assert dict(places)["logits"] == np.abs(logits).max()


def test_the_largest_logit_is_found_also_in_chunks(tiny, places_of):
    """Where they are never there at once; and so is NaN among them."""
    config = tiny()
    in_chunks = dataclasses.replace(config, compute=ComputeConfig(logits_bytes=1))
    expected, logits = places_of(config)
    found, same = places_of(in_chunks)
    np.testing.assert_allclose(same, logits, rtol=1e-6)
    assert dict(found)["logits"] == pytest.approx(dict(expected)["logits"], rel=1e-6)

    def poison(parameters):
        parameters["token_embedder"]["embedding"][-1] = np.nan

    assert first_bad(places_of(in_chunks, poison)[0]) == "logits", "no example has this token"


def test_the_values_are_those_of_the_activations(
    tiny, places_of, parameters_of, unpacked, examples_of, compiled
):
    """The embedding and the encoder's output can be had by other ways."""
    config = tiny()
    values = dict(places_of(config)[0])
    parameters, batch = parameters_of(config), unpacked(config, examples_of(config))
    embedding = parameters["token_embedder"]["embedding"]
    tokens = batch["encoder_input_tokens"]
    assert values["encoder/input"] == np.abs(embedding[tokens]).max()
    output = np.abs(compiled(transformer.encode, config)(parameters, batch)).max()
    assert values["encoder/output"] == pytest.approx(float(output), rel=1e-6)
    assert len({values[f"encoder/layers/{i}/residual"] for i in range(2)}) == 2


@pytest.mark.parametrize(
    ("path", "layer", "place"),
    [
        (("encoder", "layers", "mlp", "wo", "kernel"), 1, "encoder/layers/1/mlp/output"),
        (("decoder", "layers", "mlp", "wi", "kernel"), 0, "decoder/layers/0/mlp/hidden"),
        (
            ("decoder", "layers", "encoder_decoder_attention", "key", "kernel"),
            1,
            "decoder/layers/1/cross_attention/logits",
        ),
        (("token_embedder", "embedding"), slice(None), "encoder/input"),
    ],
)
def test_one_bad_weight_is_found_where_it_enters(path, layer, place, tiny, places_of):
    """In the layer that holds it, though all places behind it are bad too."""

    def poison(parameters):
        leaf = parameters
        for part in path:
            leaf = leaf[part]
        leaf[layer] = np.nan

    assert first_bad(places_of(tiny(), poison)[0]) == place


@pytest.mark.parametrize("bad", [slice(0, 1), slice(None)], ids=["one", "all"])
def test_nan_is_not_lost_between_devices(bad):
    """Each of eight devices has its own maximum, and a maximum of them may drop NaN."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    values = np.arange(32, dtype=np.float32).reshape(2, 16) - 20
    values[1, bad] = np.nan
    placed = jax.device_put(
        values, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "x"))
    )
    found = jax.jit(functools.partial(maxima.largest, per_layer=True))(placed)
    np.testing.assert_array_equal(found, [20, np.nan])
    assert np.isnan(jax.jit(maxima.largest)(placed))


def test_nothing_is_collected_unless_asked_for(
    tiny, parameters_of, unpacked, examples_of, monkeypatch
):
    """The program of `apply` is, word for word, that of a model that observes nothing."""
    config = tiny()
    parameters, batch = parameters_of(config), unpacked(config, examples_of(config))

    def program(function):
        return str(jax.make_jaxpr(lambda *given: function(config, *given))(parameters, batch))

    usual, collecting = program(transformer.apply), program(transformer.apply_with_maxima)
    monkeypatch.setattr(maxima, "observe", lambda site, x: None)
    assert program(transformer.apply) == usual != collecting
