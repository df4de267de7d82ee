"""Texts in windows that leave a memory for the next one (Yoshida et al. 2020)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Wanted
from t5x_lite.model import transformer
from t5x_lite.model.choices import AttentionForm, FirstMemory, Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import QuantizationConfig, RecurrenceConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

WINDOW, LENGTH, ROWS = 4, 14, 2  # three whole windows and half of one
FAMILIES = ("gpt2", "t5_1_1", "umt5", "local", "shared_layers")


def recurrent(model, **fields):
    own = {"window": WINDOW, "num_memories": 2, "extract_layer": 1, "insert_layer": 1, "mlp_dim": 6}
    fields = own | fields
    return dataclasses.replace(model, recurrence=RecurrenceConfig(**fields))


def tokens_of(length=LENGTH, rows=ROWS, seed=0):
    return np.random.default_rng(seed).integers(2, 30, (rows, length)).astype(np.int32)


def batch_of(tokens, lengths=None):
    """Texts with the start token in front, and what is to be told of each."""
    segments = np.ones_like(tokens)
    for row, length in enumerate(lengths or ()):
        segments[row, length:] = 0
    shifted = np.pad(tokens, ((0, 0), (1, 0)))[:, :-1]
    return {"decoder_input_tokens": shifted, "decoder_segment_ids": segments}


def loss(config, parameters, batch, key=None):
    return jnp.sum(transformer.logits(config, parameters, batch, dropout_key=key) ** 2)


LOSS_AND_GRADIENT = jax.value_and_grad(loss, argnums=1)


def assert_same(found, expected, tolerance=1e-5):
    """Every array to `tolerance` of its largest entry: float32 sums in another order."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_memories_a_text_within_a_window_is_the_plain_model(
    family, tiny, parameters_of, compiled
):
    """To the last bit, with its gradients and its dropout; the parameters are the same."""
    plain = tiny("lm", family)
    config = recurrent(plain, window=12, num_memories=0)
    parameters, batch = parameters_of(plain), batch_of(tokens_of(12))
    assert transformer.parameter_axes(config) == transformer.parameter_axes(plain)
    expected, found = (
        compiled(LOSS_AND_GRADIENT, each)(parameters, batch, jax.random.key(3))
        for each in (plain, config)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_memories_windows_know_nothing_of_each_other(
    family, tiny, parameters_of, logits_of
):
    """Each is a text of its own to the plain model, with positions of its own."""
    plain = tiny("lm", family)
    config, batch = recurrent(plain, num_memories=0), batch_of(tokens_of())
    found = logits_of(config, batch, parameters_of(plain))
    for start in range(0, LENGTH, WINDOW):
        own = {name: each[:, start : start + WINDOW] for name, each in batch.items()}
        expected = logits_of(plain, own, parameters_of(plain))
        assert_same(found[:, start : start + WINDOW], expected)


@pytest.mark.parametrize("first", FirstMemory)
def test_what_reaches_a_prediction(first, tiny, logits_of):
    """Every token up to its own, and no later one; of windows before through the memory alone."""
    config = recurrent(tiny("lm", "gpt2"), first=first)
    tokens = np.repeat(tokens_of(rows=1), LENGTH + 1, axis=0)
    batch = batch_of(tokens)
    read = batch["decoder_input_tokens"]
    np.fill_diagonal(read, 1)
    logits = logits_of(config, batch)
    reached = np.abs(logits[:-1] - logits[-1:]).max(axis=-1) > 0
    token, prediction = np.indices((LENGTH, LENGTH))
    np.testing.assert_array_equal(reached, token <= prediction)
    # Made of states below it, a memory tells of one window alone.
    below = logits_of(recurrent(tiny("lm", "gpt2"), first=first, extract_layer=0), batch)
    reached = np.abs(below[:-1] - below[-1:]).max(axis=-1) > 0
    is_near = prediction // WINDOW - token // WINDOW <= 1
    np.testing.assert_array_equal(reached, (token <= prediction) & is_near)
    apart = logits_of(recurrent(tiny("lm", "gpt2"), num_memories=0), batch)
    same_window = token // WINDOW == prediction // WINDOW
    reached = np.abs(apart[:-1] - apart[-1:]).max(axis=-1) > 0
    np.testing.assert_array_equal(reached, (token <= prediction) & same_window)


def test_no_gradient_comes_from_later_tokens(tiny, parameters_of):
    """Of vectors of tokens: exactly zero where a later window's loss would move what is before."""
    config = recurrent(tiny("lm", "gpt2"), truncation=2)
    own = jnp.arange(LENGTH, dtype=jnp.int32)[None] + 2
    batch = {"decoder_input_tokens": own, "decoder_segment_ids": jnp.ones_like(own)}
    parameters = jax.tree.map(jnp.asarray, parameters_of(config))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=0)
    def reached(place):
        def told(table):
            tree = parameters | {"token_embedder": {"embedding": table}}
            hidden = transformer.apply(config, tree, batch, wanted=Wanted((), ("decoder",)))
            return jnp.sum(jnp.take(hidden.hidden["decoder"][0], place, axis=0) ** 2)

        gradient = jax.grad(told)(parameters["token_embedder"]["embedding"])
        return jnp.abs(gradient[2 : 2 + LENGTH]).max(axis=-1)

    found = np.asarray(reached(jnp.arange(LENGTH))) > 0
    place, token = np.indices((LENGTH, LENGTH))
    # Over two windows, and then no further back.
    begins = place // WINDOW // 2 * 2 * WINDOW
    np.testing.assert_array_equal(found, (token <= place) & (token >= begins))


def test_the_first_memory_is_empty_or_learned(tiny, parameters_of, logits_of, compiled):
    """Empty, the first window is the plain model's; learned, it has a gradient."""
    plain, batch = tiny("lm", "t5_1_1"), batch_of(tokens_of())
    empty = recurrent(plain, first=FirstMemory.EMPTY)
    parameters = parameters_of(empty)
    own = {name: each[:, :WINDOW] for name, each in batch.items()}
    without = {name: each for name, each in parameters.items() if name != "recurrence"}
    expected = logits_of(plain, own, without)
    assert_same(logits_of(empty, batch)[:, :WINDOW], expected)
    learned = recurrent(plain)
    _, gradient = compiled(LOSS_AND_GRADIENT, learned)(parameters_of(learned), own)
    for name in ("first_key", "first_value"):
        assert np.abs(gradient["recurrence"][name]).max() > 0


@pytest.mark.parametrize("layer", [0, 1])
def test_only_the_layer_of_the_memory_sees_it(layer, tiny, parameters_of, logits_of):
    """Nothing comes from before where that layer's attention is switched off."""
    config = recurrent(tiny("lm", "gpt2"), insert_layer=layer)
    batch = batch_of(tokens_of())
    other = {**batch, "decoder_input_tokens": batch["decoder_input_tokens"].copy()}
    other["decoder_input_tokens"][:, 1] = 1

    def differs(off):
        parameters = jax.tree.map(np.array, parameters_of(config))
        out = parameters["decoder"]["layers"]["self_attention"]["out"]
        out["kernel"][off] = out["bias"][off] = 0
        one, two = (logits_of(config, each, parameters)[:, WINDOW:] for each in (batch, other))
        return np.abs(one - two).max() > 1e-6

    assert not differs(off=layer)
    assert differs(off=1 - layer)


def test_padding_changes_nothing(tiny, logits_of):
    """Of rows that are shorter, whichever window they end in."""
    config, tokens = recurrent(tiny("lm", "t5_1_1")), tokens_of(rows=3)
    lengths = (3, 8, 11)
    padded = logits_of(config, batch_of(np.where(np.arange(LENGTH) < 3, tokens, 7), (3, 3, 3)))
    whole = logits_of(config, batch_of(tokens, lengths))
    longer = logits_of(config, batch_of(tokens))
    for row, length in enumerate(lengths):
        assert_same(whole[row, :length], longer[row, :length])
        assert_same(padded[row, :3], longer[row, :3])


@pytest.mark.parametrize(
    "fields",
    [{"scan_unroll": 2}, {"remat": Remat.FULL}, {"remat": Remat.MINIMAL}, {"logits_bytes": 600}],
    ids=str,
)
def test_however_it_is_computed_the_numbers_are_the_same(fields, tiny, parameters_of, compiled):
    """Layers one by one, recomputed, logits in chunks."""
    config, batch = recurrent(tiny("lm", "gpt2")), batch_of(tokens_of(), (14, 6))
    other = dataclasses.replace(config, compute=ComputeConfig(**fields))
    parameters = parameters_of(config)
    expected, found = (
        compiled(LOSS_AND_GRADIENT, each)(parameters, batch) for each in (config, other)
    )
    assert_same(found, expected)


def test_windows_in_a_loop_are_windows_one_by_one(tiny, parameters_of, logits_of):
    """Written out: what a window leaves, by the mean of a layer's states."""
    config = recurrent(tiny("lm", "gpt2"), extract_layer=0)
    batch, parameters = batch_of(tokens_of()), parameters_of(config)
    found = logits_of(config, batch)
    own = recurrent(tiny("lm", "gpt2"), extract_layer=1)
    assert np.abs(logits_of(own, batch, parameters) - found).max() > 1e-4
    # A text that ends with a window, and the same with another one behind it.
    two = logits_of(config, {name: each[:, : 2 * WINDOW] for name, each in batch.items()})
    assert_same(two, found[:, : 2 * WINDOW])


def test_what_is_noted_is_that_of_all_windows(tiny, parameters_of):
    """The largest activations and the ranges of kernels of 8 bits, of a text as of its windows."""
    config = recurrent(tiny("lm", "gpt2"), num_memories=0)
    config = dataclasses.replace(config, quantization=QuantizationConfig())
    batch = batch_of(tokens_of(3 * WINDOW))
    parameters = jax.tree.map(jnp.asarray, parameters_of(config))
    apart = {name: each.reshape(-1, WINDOW) for name, each in batch.items()}
    for noting in (transformer.apply_with_maxima, transformer.apply_with_ranges):
        whole, windows = (
            jax.jit(lambda own, noting=noting: noting(config, parameters, own)[1])(each)
            for each in (batch, apart)
        )
        assert jax.tree.leaves(whole)
        assert_same(whole, windows)


def decoded(config, parameters, tokens, lengths, written, compiled):
    """Logits of the tokens behind prompts of these lengths, fed one by one."""
    prompts = np.where(np.arange(tokens.shape[1]) < np.array(lengths)[:, None], tokens, 0)
    width = max(lengths)
    batch = {
        "decoder_prefix_tokens": prompts[:, :width],
        "decoder_prefix_segment_ids": np.int32(np.arange(width)[None] < np.array(lengths)[:, None]),
    }
    start = compiled(transformer.start, config, max_decode_length=written)
    logits, cache = start(parameters, batch)
    found = [logits]
    advance = compiled(transformer.advance, config)
    for step in range(written - 1):
        token = tokens[np.arange(len(tokens)), np.array(lengths) + step]
        logits, cache = advance(parameters, token, cache)
        found.append(logits)
    return np.stack(found, axis=1), cache


@pytest.mark.parametrize("family", ["gpt2", "t5_1_1", "umt5"])
@pytest.mark.parametrize("memories", [0, 2])
def test_decoding_is_teacher_forcing(memories, family, tiny, parameters_of, logits_of, compiled):
    """Prompts of no, one and several windows in one batch, which cross windows at other steps."""
    config = recurrent(tiny("lm", family), num_memories=memories)
    tokens, lengths, written = tokens_of(20, rows=5), (0, 2, 3, 6, 11), 9
    found, _ = decoded(config, parameters_of(config), tokens, lengths, written, compiled)
    expected = logits_of(config, batch_of(tokens))
    for row, length in enumerate(lengths):
        assert_same(found[row], expected[row, length : length + written], tolerance=2e-5)


def test_a_cache_is_as_large_as_a_window(tiny, parameters_of, compiled):
    """However long the text is."""
    config = recurrent(tiny("lm", "gpt2"))
    abstract = transformer.abstract_parameters(config)

    def size(length, written):
        tokens = np.ones((2, length), np.int32)
        prompts = {"decoder_prefix_tokens": tokens, "decoder_prefix_segment_ids": tokens}
        start = functools.partial(transformer.start, config, max_decode_length=written)
        _, cache = jax.eval_shape(start, abstract, prompts)
        return sum(leaf.size for leaf in jax.tree.leaves(cache))

    assert size(3, 50) == size(50, 3) == size(1000, 1000)
    assert size(1, 1) < size(3, 50)


def test_rows_of_a_cache_move_with_their_memory(tiny, parameters_of, compiled):
    """Repeated, selected and put elsewhere, a row goes on as it would have."""
    config, tokens = recurrent(tiny("lm", "gpt2")), tokens_of(12, rows=2)
    parameters = parameters_of(config)
    _, cache = decoded(config, parameters, tokens, (7, 7), 2, compiled)
    advance = compiled(transformer.advance, config)
    token = np.array([5, 9], np.int32)
    expected, _ = advance(parameters, token, cache)
    both = transformer.repeat(cache, 2)
    swapped = transformer.select(both, jnp.array([[1, 0], [1, 1]]))
    found, _ = advance(parameters, np.repeat(token, 2), swapped)
    assert_same(found, np.repeat(expected, 2, axis=0))
    put = transformer.put(cache, cache, jnp.array([1, 0]))
    found, _ = advance(parameters, token[::-1].copy(), put)
    assert_same(found, expected[::-1])
    different, _ = advance(parameters, np.repeat(token, 2), transformer.repeat(cache, 2))
    assert_same(different, np.repeat(expected, 2, axis=0))
    axes = transformer.cache_axes(jax.eval_shape(lambda: cache))
    assert axes.carried.total == ("batch", None)
    with pytest.raises(UserError, match="cannot take back tokens"):
        transformer.rewind(cache, jnp.array([1, 0]))


MESHES = {
    "data": {"num_partitions": 1},
    "both": {"num_partitions": 2, "parameter_axis_rules": (("embed", "data"),)},
    "length": {"num_partitions": 2, "activation_axis_rules": (("length", "model"),)},
}


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_trains_as_one_device_does(mesh, tiny, parameters_of, compiled):
    """Loss and gradients, dropout included."""
    config = recurrent(tiny("lm", "t5_1_1"))
    parameters, batch = parameters_of(config), batch_of(tokens_of(16, rows=8))
    partitioner = make_partitioner(PartitioningConfig(**MESHES[mesh]))
    places = partitioner.shardings(transformer.parameter_axes(config), parameters)

    def step(parameters, batch):
        with partitioner.activations():
            return LOSS_AND_GRADIENT(config, parameters, batch, jax.random.key(3))

    found = jax.jit(step, out_shardings=(partitioner.sharding(()), places))(
        jax.device_put(parameters, places), partitioner.global_batch(batch)
    )
    expected = compiled(LOSS_AND_GRADIENT, config)(parameters, batch, jax.random.key(3))
    assert_same(jax.device_get(found), expected)


def carries(jaxpr):
    """Shapes of what each loop over windows carries."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            first = equation.params["num_consts"]
            carried = equation.invars[first : first + equation.params["num_carry"]]
            found.append([each.aval.shape for each in carried])
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            found += carries(inner) if hasattr(inner, "eqns") else []
    return found


def test_memory_does_not_grow_with_the_text(tiny, parameters_of):
    """What loops carry is the same for texts of any length; what a program needs beside its inputs
    grows by a last hidden state a token, with which logits in chunks are made, and by no square.
    """
    config = recurrent(tiny("lm", "gpt2"), window=8)
    config = dataclasses.replace(config, compute=ComputeConfig(logits_bytes=4096))
    abstract = transformer.abstract_parameters(config)

    def told(parameters, batch):
        scores = transformer.apply(config, parameters, batch).heads["tokens"]
        return jnp.sum(scores.hidden)

    def batch(length):
        shape = jax.ShapeDtypeStruct((1, length), jnp.int32)
        return {"decoder_input_tokens": shape, "decoder_segment_ids": shape}

    few, many = (carries(jax.make_jaxpr(told)(abstract, batch(n))) for n in (64, 512))
    assert few == many
    sizes = [
        jax.jit(told).lower(abstract, batch(n)).compile().memory_analysis().temp_size_in_bytes
        for n in (512, 1024, 4096)
    ]
    a_token = (sizes[2] - sizes[1]) / 3072
    assert a_token <= 3 * 4 * config.embed_dim
    assert abs((sizes[1] - sizes[0]) / 512 - a_token) < 8


REFUSED = [
    ("encoder_decoder", {}, "recurrence in an encoder-decoder: needed is a language model"),
    ("prefix_lm", {}, "recurrence in a decoder of visibility 'prefix'"),
    ("lm", {"window": 0}, "window=0: needed is at least 1"),
    ("lm", {"num_memories": -1}, "num_memories=-1: needed is at least 0"),
    ("lm", {"mlp_dim": 0}, "mlp_dim=0: needed is at least 1"),
    ("lm", {"truncation": 0}, "truncation=0: needed is at least 1"),
    ("lm", {"extract_layer": 2}, "extract_layer=2 in a decoder of 2 layers"),
    ("lm", {"insert_layer": -1}, "insert_layer=-1: needed is at least 0"),
    ("lm", {"window": 13}, "window=13 in a model that has learned 12 positions"),
]


@pytest.mark.parametrize(("architecture", "fields", "message"), REFUSED)
def test_what_does_not_fit_is_refused(architecture, fields, message, tiny):
    with pytest.raises(UserError, match=message):
        recurrent(tiny(architecture, "gpt2"), **fields)


def test_other_parts_that_do_not_fit_are_refused(tiny):
    config = recurrent(tiny("lm", "gpt2"))
    with pytest.raises(UserError, match="recurrence in an encoder alone"):
        dataclasses.replace(
            tiny("encoder_decoder"), decoder=None, recurrence=RecurrenceConfig(window=4)
        )
    with pytest.raises(UserError, match="prompt_length=3 with recurrence"):
        dataclasses.replace(config, prompt_length=3)
    with pytest.raises(UserError, match="attention='blockwise' with num_memories=2"):
        compute = ComputeConfig(attention=AttentionForm.BLOCKWISE)
        dataclasses.replace(config, compute=compute)
    with pytest.raises(UserError, match="decoder/states of a model that reads in windows"):
        transformer.apply(config, {}, {}, wanted=Wanted((), (), ("decoder/states",)))
