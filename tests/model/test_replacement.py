"""Laws of a generator beside a model that tells what it replaced."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.features.outputs import TOKENS, Wanted
from t5x_lite.losses.config import LossConfig, ReplacedTokensLossConfig
from t5x_lite.losses.table import make_loss
from t5x_lite.model import draws, flops, replacement, transformer
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import HeadConfig, HeadKind, ModelConfig
from t5x_lite.model.generator_config import GeneratorConfig, UniformGeneratorConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

VOCAB, ROWS, LENGTH = 32, 8, 12
TERMS = (LossConfig(z_loss=0.0), ReplacedTokensLossConfig(weight=50.0))
BOTH, ONLY_MODEL = Wanted((TOKENS, "replaced")), Wanted(("replaced",))
SIZES = {
    "VOCAB_SIZE": VOCAB,
    "EMBED_DIM": 32,
    "MLP_DIM": 64,
    "NUM_HEADS": 8,
    "HEAD_DIM": 4,
    "NUM_ENCODER_LAYERS": 2,
    "TOKEN_DIM": 16,
    "MAX_LENGTH": LENGTH,
    "GENERATOR_EMBED_DIM": 8,
    "GENERATOR_MLP_DIM": 16,
    "GENERATOR_NUM_HEADS": 8,
}


@functools.cache
def joint(generator="learned", **fields):
    """A tiny one of each, by the gin files."""
    macros = [("--gin", f"{name}={value}") for name, value in SIZES.items()]
    special = "padding start end unknown".split()
    ids = [("--gin", f"SpecialTokens.{name}={at}") for at, name in enumerate(special)]
    files = ["models/electra/small_joint.gin"]
    config = gin_config.resolve(ModelConfig, files, overrides=macros + ids).config
    if generator == "uniform":
        config = dataclasses.replace(config, generator=UniformGeneratorConfig())
    return dataclasses.replace(config, **fields)


def batch(rows=ROWS, seed=0):
    """Two examples a row and padding; a quarter of the tokens is chosen and hidden."""
    rng = np.random.default_rng(seed)
    segments = np.repeat([[1] * 5 + [2] * 4 + [0] * 3], rows, axis=0).astype(np.int32)
    true = np.where(segments > 0, rng.integers(5, VOCAB, segments.shape), 0).astype(np.int32)
    chosen = ((rng.random(segments.shape) < 0.25) & (segments > 0)).astype(np.int32)
    found = {
        "encoder_input_tokens": np.where(chosen > 0, 4, true).astype(np.int32),
        "encoder_target_tokens": true,
        "encoder_loss_weights": chosen,
        "encoder_segment_ids": segments,
    }
    return jax.tree.map(jnp.asarray, found)


BATCH = batch()
CHOSEN = np.asarray(BATCH["encoder_loss_weights"]) > 0
TRUE = np.asarray(BATCH["encoder_target_tokens"])


@functools.partial(jax.jit, static_argnames=("config", "wanted"))
def apply(config, parameters, batch=BATCH, key=None, *, wanted=BOTH):
    return transformer.apply(config, parameters, batch, wanted=wanted, dropout_key=key)


def told(config, parameters, key=7):
    """(tokens that the model read, its scores, the generator's)."""
    found = apply(config, parameters, key=jax.random.key(key))
    return found.read, *(found.heads[name].all() for name in ("replaced", TOKENS))


def loss(config, parameters, batch, terms=TERMS):
    loss = make_loss(terms)
    key = jax.random.key(7)
    outputs = transformer.apply(config, parameters, batch, wanted=loss.wanted, dropout_key=key)
    return loss(outputs, None, batch, training=True)[0]


@functools.cache
def _step(config, terms):
    return jax.jit(jax.value_and_grad(lambda own, batch: loss(config, own, batch, terms)))


@pytest.fixture(scope="module")
def gradients(parameters_of):
    """(config, terms) -> loss and gradients."""

    def of(config, terms=TERMS):
        value, found = _step(config, terms)(parameters_of(config), BATCH)
        return float(value), jax.tree.map(np.asarray, found)

    return of


def assert_close(found, expected, tolerance):
    """Two trees, to a share of the longest leaf."""
    largest = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(expected))

    def check(path, one, other):
        error = np.linalg.norm(np.asarray(one) - np.asarray(other))
        assert error <= tolerance * largest, f"{jax.tree_util.keystr(path)} {error}"

    jax.tree_util.tree_map_with_path(check, found, expected)


def test_each_learns_by_its_own_loss(gradients):
    """Exactly: no gradient goes through what is drawn. Vectors of tokens learn by both."""
    config = joint()
    _, of_generator = gradients(config, TERMS[:1])
    _, of_model = gradients(config, TERMS[1:])
    for path, leaf in jax.tree_util.tree_leaves_with_path(of_model):
        is_generators = path[0].key == replacement.GENERATOR
        assert np.any(leaf != 0) != is_generators or path[-2].key == "key", path
        assert not (is_generators and np.any(leaf != 0)), path
    for part in ("heads",):
        assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(of_generator[part]))
    for name in ("layers", "input_projection"):
        assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(of_generator["encoder"][name]))
    for name in ("position_embedder", "type_embedder", "input_norm"):
        assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(of_generator["encoder"][name]))
    assert np.any(of_generator["token_embedder"]["embedding"] != 0)


def test_both_losses_are_those_of_two_models(parameters_of):
    """Each by itself with the parameters of its own, the second on what the first one drew."""
    config = joint(dropout_rate=0.0)
    parameters = parameters_of(config)
    model, generator = replacement.apart(parameters)
    read, scores, logits = told(config, parameters)
    own = replacement.generator_of(config)
    of_generator = apply(own, generator, wanted=Wanted()).heads[TOKENS].all()
    np.testing.assert_allclose(of_generator, logits, rtol=1e-5, atol=1e-6)
    replaced = BATCH | {"encoder_input_tokens": read}
    alone = apply(config.kept, model, replaced, wanted=ONLY_MODEL)
    np.testing.assert_allclose(alone.heads["replaced"].all(), scores, rtol=1e-5, atol=1e-6)

    log_p = np.asarray(jax.nn.log_softmax(logits))
    of_true = np.take_along_axis(log_p, TRUE[..., None], axis=-1)[..., 0]
    is_real, is_replaced = np.asarray(BATCH["encoder_segment_ids"]) > 0, np.asarray(read) != TRUE
    sign = np.where(is_replaced, -1.0, 1.0)
    of_pairs = np.log1p(np.exp(sign * np.asarray(scores)[..., 0]))
    expected = -of_true[CHOSEN].mean() + 50 * of_pairs[is_real].mean()
    found = apply(config, parameters, key=jax.random.key(7))
    value, _ = make_loss(TERMS)(found, None, BATCH, training=True)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    only = (TERMS[0], dataclasses.replace(TERMS[1], weighted_only=True))
    expected = -of_true[CHOSEN].mean() + 50 * of_pairs[CHOSEN].mean()
    value, _ = make_loss(only)(found, None, BATCH, training=True)
    assert float(value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("generator", ["learned", "uniform"])
@pytest.mark.parametrize("forbid", [False, True])
def test_only_chosen_tokens_are_replaced(generator, forbid, parameters_of):
    """Fewer than are chosen, for a draw may be the true token; all of them where it may not."""
    config = joint(generator)
    config = dataclasses.replace(
        config, generator=dataclasses.replace(config.generator, forbid_correct=forbid)
    )
    parameters, shares = parameters_of(config), []
    for key in range(20):
        found = apply(config, parameters, key=jax.random.key(key), wanted=ONLY_MODEL)
        read = np.asarray(found.read)
        assert np.all(read[~CHOSEN] == TRUE[~CHOSEN])
        assert read.min() >= 0 and read.max() < VOCAB
        shares.append(np.mean(read[CHOSEN] != TRUE[CHOSEN]))
    assert np.mean(shares) == 1.0 if forbid else 0.5 < np.mean(shares) < 1.0
    assert ("generator" in parameters) == (generator != "uniform")


def test_draws_follow_the_scores():
    """Each token as often as its probability says, within 4 standard errors; hotter is flatter."""
    logits = jnp.asarray(np.random.default_rng(0).normal(size=VOCAB) * 2, jnp.float32)
    count = 20_000
    wide = jnp.broadcast_to(logits, (1, count, VOCAB))
    places = jnp.arange(count)[None]
    for temperature in (1.0, 3.0):
        drawn = draws.drawn(wide / temperature, places, jax.random.key(0))
        shares = np.bincount(np.asarray(drawn)[0], minlength=VOCAB) / count
        p = np.asarray(jax.nn.softmax(logits / temperature))
        assert np.all(np.abs(shares - p) <= 4 * np.sqrt(p * (1 - p) / count) + 1e-9)


def test_the_same_key_draws_the_same(parameters_of):
    """Another one does not; without one an evaluation is the same each time."""
    config = joint(dropout_rate=0.0)
    parameters = parameters_of(config)
    one, again, other = (np.asarray(told(config, parameters, key=key)[0]) for key in (7, 7, 8))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    first, second = (apply(config, parameters, wanted=ONLY_MODEL) for _ in range(2))
    assert np.array_equal(first.read, second.read)


def test_how_it_is_computed_changes_nothing(parameters_of, gradients):
    """Logits in chunks, layers one by one: the same draws, losses and gradients."""
    compute = ComputeConfig(logits_bytes=4 * VOCAB * 7, scan_unroll=2)
    config, other = joint(), joint(compute=compute)
    parameters = parameters_of(config)
    read, *_ = told(config, parameters)
    again, *_ = told(other, parameters)
    assert np.array_equal(read, again)
    expected, found = gradients(config), gradients(other)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert_close(found[1], expected[1], 1e-5)


@pytest.mark.parametrize(
    "rules",
    [
        PartitioningConfig(num_partitions=8),
        PartitioningConfig(num_partitions=4, parameter_axis_rules=(("embed", "data"),)),
    ],
    ids=["1 x 8", "sharded"],
)
def test_a_mesh_trains_as_one_device_does(rules, parameters_of, gradients):
    """INV-22: draws, losses and gradients, dropout included."""
    config, parameters = joint(), parameters_of(joint())
    partitioner = make_partitioner(rules)
    places = partitioner.shardings(transformer.parameter_axes(config), parameters)

    def step(parameters, batch):
        with partitioner.activations():
            return jax.value_and_grad(lambda own: loss(config, own, batch))(parameters)

    whole = partitioner.sharding(())
    value, found = jax.jit(step, out_shardings=(whole, places))(
        jax.device_put(parameters, places), partitioner.global_batch(jax.device_get(BATCH))
    )
    expected = gradients(config)
    assert float(value) == pytest.approx(expected[0], rel=1e-5)
    assert_close(found, expected[1], 1e-5)


def test_what_is_in_common_begins_as_without_a_generator():
    """The model's parameters are those that it has by itself, and the generator has its own."""
    config, key = joint(), jax.random.key(3)
    parameters = transformer.init_parameters(config, key)
    model, generator = replacement.apart(parameters)
    alone = transformer.init_parameters(config.kept, key)
    jax.tree.map(np.testing.assert_array_equal, model, alone)
    own = replacement.generator_of(config)
    assert jax.tree.map(jnp.shape, generator) == jax.tree.map(
        lambda leaf: leaf.shape, transformer.abstract_parameters(own)
    )
    assert generator["token_embedder"] is model["token_embedder"]
    assert not np.array_equal(
        generator["encoder"]["layers"]["mlp"]["wi"]["kernel"].std(),
        model["encoder"]["layers"]["mlp"]["wi"]["kernel"].std(),
    )


def test_it_costs_what_both_cost():
    """Matrix products of the two."""
    config = joint()
    own = replacement.generator_of(config)
    both = [flops.forward_flops(each, 2, LENGTH, 0) for each in (config.kept, own)]
    assert flops.forward_flops(config, 2, LENGTH, 0) == sum(both)
    uniform = joint("uniform")
    assert flops.forward_flops(uniform, 2, LENGTH, 0) == both[0]


def test_maxima_name_its_places_before_the_models(parameters_of):
    """In the order in which numbers flow."""
    from t5x_lite.model import maxima

    with maxima.collecting() as found:
        parameters = jax.tree.map(jnp.asarray, parameters_of(joint()))
        transformer.apply(joint(), parameters, BATCH, wanted=BOTH)
    names = [name for name, _ in maxima.in_order(jax.device_get(found))]
    firsts = [
        names.index(name)
        for name in (
            "generator/encoder/input",
            "generator/encoder/layers/0/residual",
            "generator/encoder/layers/1/residual",
            "generator/encoder/output",
            "generator/logits",
            "encoder/input",
            "encoder/layers/1/residual",
            "encoder/output",
            "replaced",
        )
    ]
    assert firsts == sorted(firsts)


def test_what_cannot_be_is_refused(parameters_of):
    """A generator beside a model that it cannot teach; a batch without the true tokens."""
    given = joint().generator
    for heads in ((HeadConfig(kind=HeadKind.SPAN),), (HeadConfig(transform="tanh"),)):
        with pytest.raises(ValueError, match="needed is one of replaced tokens, and none of tok"):
            dataclasses.replace(joint(), heads=heads)
    with pytest.raises(ValueError, match="temperature=0.0: needed is"):
        dataclasses.replace(given, temperature=0.0)
    assert isinstance(given, GeneratorConfig)
    without = {name: BATCH[name] for name in ("encoder_input_tokens", "encoder_segment_ids")}
    with pytest.raises(ValueError, match="needed for a generator are targets and target_weights"):
        apply(joint(), parameters_of(joint()), without)
    with pytest.raises(ValueError, match="the model has no 'tokens'; it has replaced"):
        apply(joint("uniform"), parameters_of(joint("uniform")))
