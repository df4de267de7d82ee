"""Laws of a stack with keys of distances and two streams: who knows what, and when."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.outputs import SCORES, Wanted
from t5x_lite.model import flops, transformer
from t5x_lite.model.choices import ActivationDtype, AttentionForm, Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    ExamplePlace,
    HeadConfig,
    HeadKind,
    InitConfig,
    InitScheme,
    MLPConfig,
    ModelConfig,
    NormConfig,
    NormKind,
    NormPlace,
    RelativeBiasConfig,
    RelativeKeysConfig,
    StackConfig,
    Visibility,
)
from t5x_lite.partitioning.config import STANDARD_LOGICAL_AXIS_RULES, PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

VOCAB, DEPTH, WIDTH, HEADS = 32, 3, 16, 2
EVERYTHING = Wanted(("tokens", "classes", "span"), ("encoder",))


@functools.cache
def model(positions=None, two_streams=True, **fields):
    """Three layers, with heads of tokens, of examples and of places."""
    block = BlockConfig(
        attention=AttentionConfig(num_heads=HEADS, head_dim=8, scale=True),
        mlp=MLPConfig(mlp_dim=24, activations=("gelu_erf",), bias=True),
        norm=NormConfig(kind=NormKind.LAYER, epsilon=1e-12, place=NormPlace.POST),
    )
    stack = StackConfig(
        num_layers=DEPTH,
        visibility=Visibility.FULL,
        block=block,
        positions=positions or RelativeKeysConfig(),
        output_dropout=True,
        two_streams=two_streams,
    )
    given = {
        "vocab_size": VOCAB,
        "embed_dim": WIDTH,
        "encoder": stack,
        "decoder": None,
        "heads": (
            HeadConfig(bias=True),
            HeadConfig(kind=HeadKind.CLASSES, transform="tanh", num_classes=4),
            HeadConfig(kind=HeadKind.SPAN),
        ),
        "example_place": ExamplePlace.LAST,
        "scale_logits": False,
        "dropout_shared_along_length": False,
        "init": InitConfig(scheme=InitScheme.NORMAL),
    }
    return ModelConfig(**given | fields)


NAMES = ("input_tokens", "token_types", "order", "loss_weights")


def example(length, *, seed, memory=0):
    """Tokens, types, ranks and what is to be predicted: a third, told last, and one token that has
    a rank of its own and is shown.
    """
    rng = np.random.default_rng(seed)
    order, weights = np.full(length, 2), np.zeros(length, int)
    order[:memory] = 0
    last = memory + rng.permutation(length - memory)[: (length - memory) // 3 + 1]
    order[last] = 3 + np.arange(len(last))
    weights[last[1:]] = 1
    return rng.integers(1, VOCAB, length), rng.integers(0, 3, length), order, weights


def rows(*groups, length, front=0):
    """A batch with a row for each group of examples, behind some padding."""
    batch = {f"encoder_{name}": np.zeros((len(groups), length), np.int32) for name in NAMES}
    segments = np.zeros((len(groups), length), np.int32)
    for row, group in enumerate(groups):
        start = front
        for number, each in enumerate(group, start=1):
            place = slice(start, start + len(each[0]))
            for name, values in zip(NAMES, each, strict=True):
                batch[f"encoder_{name}"][row, place] = values
            segments[row, place], start = number, place.stop
    return batch | {"encoder_segment_ids": segments}


EXAMPLES = [example(9, seed=0), example(6, seed=1, memory=2)]
APART = rows(*([each] for each in EXAMPLES), length=9)
TOGETHER = rows(EXAMPLES, length=17)
LEFT = rows(*([each] for each in EXAMPLES), length=14, front=3)
BATCHES = pytest.mark.parametrize("streams", [1, 2])


def of_streams(batch, streams):
    """The batch, for one stream without an order."""
    return batch if streams == 2 else {k: v for k, v in batch.items() if k != "encoder_order"}


@pytest.fixture(scope="module")
def told(compiled, parameters_of):
    """(config, batch, parameters) -> everything by name."""

    def tell(config, batch, parameters=None):
        run = compiled(transformer.apply, config, wanted=EVERYTHING)
        found = run(parameters_of(config) if parameters is None else parameters, batch)
        heads = {name: scores.all() for name, scores in found.heads.items()}
        return {name: np.asarray(each) for name, each in (heads | dict(found.hidden)).items()}

    return tell


def assert_same(got, expected, rtol=5e-6):
    """To a few roundings of the largest: products and norms of some 30 numbers in another order."""
    assert got.keys() == expected.keys()
    for name in got:
        bound = rtol * np.abs(expected[name]).max()
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=bound, err_msg=name)


def real(outputs, batch):
    return {name: each[batch["encoder_segment_ids"] > 0] for name, each in outputs.items()}


@BATCHES
@pytest.mark.parametrize("other", [TOGETHER, LEFT], ids=["packed", "left"])
def test_where_an_example_stands_moves_nothing(other, streams, told):
    """INV-15: packed == unpacked, also behind padding, for heads of examples as well."""
    config = model()
    apart, moved = (told(config, of_streams(batch, streams)) for batch in (APART, other))
    assert_same(real(moved, other), real(apart, APART))


@BATCHES
def test_layers_in_a_loop_are_layers_one_by_one(streams, told, parameters_of):
    """Scan == unrolled."""
    config, batch = model(), of_streams(APART, streams)
    unrolled = dataclasses.replace(config, compute=ComputeConfig(scan_unroll=DEPTH))
    parameters = parameters_of(config)
    assert_same(told(unrolled, batch, parameters), told(config, batch, parameters))


def test_gradients_are_the_same_however_layers_run(parameters_of):
    """In a loop that computes them again, and one by one."""
    config = model(heads=model().heads[:1])

    def loss(config, parameters, batch):
        return jnp.sum(jnp.sin(transformer.logits(config, parameters, batch)))

    expected, *others = (
        jax.jit(functools.partial(jax.grad(loss, argnums=1), each))(parameters_of(config), APART)
        for each in (
            config,
            dataclasses.replace(config, compute=ComputeConfig(remat=Remat.FULL)),
            dataclasses.replace(config, compute=ComputeConfig(scan_unroll=DEPTH)),
        )
    )
    assert np.abs(expected["encoder"]["query_embedding"]).max() > 0
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected))
    for other in others:
        jax.tree.map(
            lambda one, two: np.testing.assert_allclose(one, two, rtol=0, atol=5e-6 * largest),
            other,
            expected,
        )


MESHES = {
    "data": {"num_partitions": 1},
    "both": {"num_partitions": 2, "parameter_axis_rules": (("embed", "data"),)},
    # Of 2 heads none can be split in 4.
    "model": {
        "num_partitions": 4,
        "logical_axis_rules": tuple(
            (name, None if name == "heads" else axis) for name, axis in STANDARD_LOGICAL_AXIS_RULES
        ),
    },
    "length": {"num_partitions": 2, "activation_axis_rules": (("length", "model"),)},
}


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_tells_what_one_device_tells(mesh, told, parameters_of):
    """INV-22: with both streams, and heads split where there are enough."""
    config = model()
    parameters = parameters_of(config)
    partitioner = make_partitioner(PartitioningConfig(**MESHES[mesh]))
    places = partitioner.shardings(transformer.parameter_axes(config), parameters)
    batch = {name: np.concatenate([each] * 4) for name, each in LEFT.items()}

    def run(parameters, batch):
        with partitioner.activations():
            found = transformer.apply(config, parameters, batch, wanted=EVERYTHING)
        return {name: each.all() for name, each in found.heads.items()} | dict(found.hidden)

    got = jax.jit(run, out_shardings=partitioner.sharding(()))(
        jax.device_put(parameters, places), partitioner.global_batch(batch)
    )
    assert_same(jax.tree.map(np.asarray, got), told(config, batch, parameters))


def changed(batch, where, name="encoder_input_tokens"):
    """Other values there."""
    return batch | {name: np.where(where, (batch[name] + 7) % VOCAB, batch[name]).astype(np.int32)}


def test_a_prediction_knows_what_is_told_before_it_and_nothing_else(told):
    """Neither its own token nor any of a higher rank moves a bit of it; each lower one does."""
    config = model()
    batch = {name: each[:1] for name, each in APART.items()}
    before, order = told(config, batch), batch["encoder_order"][0]
    for place in np.flatnonzero(batch["encoder_loss_weights"][0]):
        later = (order >= order[place])[None]
        after = told(config, changed(batch, later))
        np.testing.assert_array_equal(
            after["tokens"][0, place], before["tokens"][0, place], err_msg=str(place)
        )
        for other in np.flatnonzero(order < order[place]):
            moved = told(config, changed(batch, np.arange(9)[None] == other))["tokens"][0, place]
            assert np.abs(moved - before["tokens"][0, place]).max() > 1e-4


def test_streams_are_the_same_where_nothing_is_predicted(told):
    """Of shown tokens the query stream is the content stream, whatever is predicted beside them;
    and where all see each other, it is what runs without an order.
    """
    config, zeros = model(), np.zeros_like(APART["encoder_order"])
    contents = told(config, APART | {"encoder_loss_weights": zeros})["encoder"]
    queries = told(config, APART)["encoder"]
    predicted = APART["encoder_loss_weights"] > 0
    shown = ~predicted & (APART["encoder_segment_ids"] > 0)
    bound = 5e-6 * np.abs(contents).max()
    np.testing.assert_allclose(queries[shown], contents[shown], rtol=0, atol=bound)
    assert np.abs(queries - contents)[predicted].max(axis=-1).min() > 0.01
    plain = APART | {"encoder_loss_weights": zeros, "encoder_order": zeros + 1}
    assert_same(told(config, plain), told(config, of_streams(APART, 1)))


def test_what_is_inside_is_of_the_stream_that_heads_read(parameters_of):
    """The second one; its queries see keys of the first."""
    config, wanted = model(), Wanted((), ("encoder",), ("encoder/states", f"encoder/{SCORES}"))
    batch = jax.tree.map(jnp.asarray, APART)
    found = jax.jit(lambda p: transformer.apply(config, p, batch, wanted=wanted))(
        parameters_of(config)
    )
    count, length = APART["encoder_input_tokens"].shape
    assert found.inside[f"encoder/{SCORES}"].shape == (DEPTH, count, HEADS, length, length)
    np.testing.assert_array_equal(found.inside["encoder/states"][-1], found.hidden["encoder"])


def test_what_sees_nothing_knows_nothing(told):
    """The first of all, where none is shown: only where it stands."""
    config = model()
    alone = (np.array([5, 6, 7]), np.zeros(3, int), np.array([2, 1, 3]), np.ones(3, int))
    batch = rows([alone], length=4)
    before, after = told(config, batch), told(config, changed(batch, np.ones((1, 4), bool)))
    np.testing.assert_array_equal(after["tokens"][0, 1], before["tokens"][0, 1])
    assert np.abs(after["tokens"][0, 0] - before["tokens"][0, 0]).max() > 1e-4


def test_a_memory_is_what_was_read_before_it(told, parameters_of):
    """It is encoded as if it stood alone, moves what comes behind, and has no gradient."""
    config = model()
    tokens, types, order, weights = example(9, seed=3, memory=4)
    batch = rows([(tokens, types, order, weights)], length=9)
    alone = rows([(tokens[:4], types[:4], np.ones(4, int), np.zeros(4, int))], length=4)
    hidden, before = told(config, alone)["encoder"], told(config, batch)
    np.testing.assert_allclose(before["encoder"][:, :4], hidden, rtol=0, atol=1e-5)
    after = told(config, changed(batch, np.arange(9)[None] == 1))
    assert np.abs(after["tokens"][0, 4:] - before["tokens"][0, 4:]).max() > 1e-4

    def loss(config, parameters, batch):
        found = transformer.apply(config, parameters, batch, wanted=EVERYTHING)
        return jnp.sum(jnp.sin(found.heads["span"].all()[:, 4:]))

    grad = jax.jit(functools.partial(jax.grad(loss, argnums=1), config))
    of_vectors = np.asarray(grad(parameters_of(config), batch)["token_embedder"]["embedding"])
    # Nobody reads what is told last.
    read = set(tokens[(order > 0) & (order < order.max())])
    assert set(np.flatnonzero(np.abs(of_vectors).sum(axis=1))) == read
    assert len(read) == 4 and set(tokens[:4]).isdisjoint(read)
    everything = grad(parameters_of(config), batch | {"encoder_order": np.maximum(order, 1)[None]})
    assert np.abs(everything["token_embedder"]["embedding"])[tokens[:4]].sum(axis=1).min() > 0


def test_only_whether_types_differ_is_told(told):
    """Other numbers for the same types say the same; without any all are of one."""
    config = model()
    renamed = APART | {"encoder_token_types": (5 - APART["encoder_token_types"]).astype(np.int32)}
    assert_same(told(config, renamed), told(config, APART), rtol=0)
    alike = APART | {"encoder_token_types": np.ones_like(APART["encoder_token_types"])}
    without = {k: v for k, v in APART.items() if k != "encoder_token_types"}
    assert_same(told(config, without), told(config, alike))
    assert np.abs(told(config, APART)["tokens"] - told(config, alike)["tokens"]).max() > 1e-3
    blind = model(RelativeKeysConfig(types=False))
    assert_same(told(blind, without), told(blind, APART), rtol=0)


def test_contents_of_padding_never_leak(told):
    """Of either stream; segment ids alone say what is padding."""
    dirty, padding = APART, APART["encoder_segment_ids"] == 0
    for name in NAMES:
        dirty = changed(dirty, padding, f"encoder_{name}")
    assert_same(real(told(model(), dirty), dirty), real(told(model(), APART), APART), rtol=0)


def test_examples_are_told_from_their_last_token(told, parameters_of):
    """At their first position, and at all others alike."""
    config = model()
    first = dataclasses.replace(config, example_place=ExamplePlace.FIRST)
    parameters = parameters_of(config)
    at_last, everywhere = (told(each, TOGETHER, parameters) for each in (config, first))
    np.testing.assert_array_equal(at_last["classes"][0, [0, 9]], everywhere["classes"][0, [8, 14]])
    np.testing.assert_array_equal(at_last["span"], everywhere["span"])


@BATCHES
def test_what_it_costs_is_a_product_for_each_kernel_that_runs(streams):
    """Of both streams, but for keys and values; keys of distances are made once for all rows."""
    config, length = model(heads=()), 9
    inner, kernels = HEADS * 8, 2 * WIDTH * 24
    position = WIDTH * (streams * (2 * inner) + 2 * inner) + streams * kernels
    mixing = streams * length * inner * (2 * length + 2 * length + 2)
    expected = DEPTH * (4 * (length * position + mixing) + 2 * length * WIDTH * inner)
    shapes = {"encoder_input_tokens": (4, length), "encoder_order": (4, length)}
    assert flops.training_flops(config, of_streams(shapes, streams)) == 3 * 2 * expected


def test_activations_of_half_the_bits_are_close(told, parameters_of):
    """Hidden states are bfloat16, and all of what is added to logits of attention is float32."""
    config, parameters = model(), parameters_of(model())
    compute = ComputeConfig(activation_dtype=ActivationDtype.BFLOAT16)
    half = dataclasses.replace(config, compute=compute)
    exact, found = (real(told(each, APART, parameters), APART) for each in (config, half))
    assert found["encoder"].dtype == jnp.bfloat16 and found["tokens"].dtype == np.float32
    error = np.abs(np.float32(found["encoder"]) - exact["encoder"]).max()
    assert 0 < error < 0.05 * np.abs(exact["encoder"]).max()


def test_an_order_for_one_stream_is_refused(told):
    """Which would see what it is to predict."""
    with pytest.raises(ValueError, match="the encoder has one stream, which sees every token"):
        told(model(two_streams=False), APART)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: model(RelativeBiasConfig(bidirectional=True)),
            "needed are positions that layers make keys of",
        ),
        (
            lambda c: dataclasses.replace(
                c, compute=ComputeConfig(attention=AttentionForm.BLOCKWISE)
            ),
            "needed is 'auto' or 'dense', the only form",
        ),
        (
            lambda c: dataclasses.replace(
                c,
                encoder=None,
                decoder=dataclasses.replace(c.encoder, visibility=Visibility.CAUSAL),
                heads=c.heads[:1],
            ),
            "needed are others, for decoding remembers no keys of distances",
        ),
        (
            lambda c: HeadConfig(kind=HeadKind.SPAN, bias=True),
            "needed is False, for all but a head of tokens",
        ),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    """With what it needs instead."""
    with pytest.raises(ValueError, match=message):
        change(model())
