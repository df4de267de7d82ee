"""Logits in chunks: the numbers of the whole, on any mesh, and never more than a chunk of them."""

import dataclasses
import functools
import math
import re

import jax
import numpy as np
import pytest

from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import LossConfig, LossNormalization, MatchTeacherConfig
from t5x_lite.losses.table import make_loss
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model

# Of all dimensions that of the vocabulary alone, in any number of pieces, divides by 7.
VOCAB, ROWS, LENGTH = 448, 32, 20
LOGITS = ROWS * LENGTH * VOCAB
TOKEN_TERM = LossConfig(z_loss=0.01, label_smoothing=0.1)
TERMS = (TOKEN_TERM, MatchTeacherConfig(temperature=2.0, weight=0.5))
SHARDED = PartitioningConfig(num_partitions=2, parameter_axis_rules=(("embed", "data"),))
MESHES = {
    "data=8": PartitioningConfig(),
    "model=8": PartitioningConfig(num_partitions=8),
    "fully sharded": SHARDED,
    "slices": dataclasses.replace(
        SHARDED,
        mesh_axes=(("slice", 2), ("data", None), ("model", 2)),
        activation_axis_rules=(("batch", ("slice", "data")),),
    ),
}
ON_MESHES = pytest.mark.parametrize("mesh", list(MESHES))


def model_of(*, chunks, devices=1, tied=True):
    """One whose logits come in so many chunks; a single one is the whole."""
    model = tiny_model(VOCAB, Layout.LM, logits_via_embedding=tied)
    compute = dataclasses.replace(model.compute, logits_bytes=4 * LOGITS // devices // chunks)
    return dataclasses.replace(model, scale_logits=tied, compute=compute)


@functools.cache
def packed_batch(tied):
    """Two segments a row, of different lengths, and padding; every other target is the token that
    the model itself thinks best.
    """
    rng = np.random.default_rng(0)
    lengths = rng.integers(6, LENGTH + 1, (ROWS, 1))
    positions = np.arange(LENGTH)
    segments = np.where(positions < 5, 1, 2) * (positions < lengths)
    names = ("decoder_input_tokens", "decoder_target_tokens")
    batch = {
        name: np.where(segments > 0, rng.integers(2, VOCAB, (ROWS, LENGTH)), 0) for name in names
    }
    batch = jax.tree.map(np.int32, batch | {"decoder_segment_ids": segments})
    logits = jax.jit(functools.partial(transformer.logits, model_of(chunks=1, tied=tied)))
    best = np.argmax(logits(parameters_of(tied), batch), axis=-1)
    own = batch["decoder_target_tokens"]
    return batch | {"decoder_target_tokens": np.where(positions % 2, own, best).astype(np.int32)}


@functools.cache
def parameters_of(tied, seed=0):
    """The same on every mesh; a teacher has those of another seed."""
    model = model_of(chunks=1, tied=tied)
    return jax.jit(functools.partial(transformer.init_parameters, model))(jax.random.key(seed))


def loss_of(model, terms, partitioner, parameters, teacher, batch):
    """Value and sums."""
    loss = make_loss(terms)
    with partitioner.activations():
        taught = jax.lax.stop_gradient(transformer.apply(model, teacher, batch))
        outputs = transformer.apply(model, parameters, batch)
        return loss(outputs, taught, batch, training=True)


def compile_step(model, terms, config, num_devices):
    """The program of loss, sums and gradients on a mesh, and its arguments."""
    partitioner = make_partitioner(config, jax.devices()[:num_devices])
    shardings = partitioner.shardings(
        transformer.parameter_axes(model), transformer.abstract_parameters(model)
    )
    step = jax.value_and_grad(functools.partial(loss_of, model, terms, partitioner), has_aux=True)
    scalar = partitioner.sharding(())
    jitted = jax.jit(
        step,
        in_shardings=(shardings, shardings, partitioner.batch_sharding),
        out_shardings=((scalar, scalar), shardings),
    )
    given = [parameters_of(model.logits_via_embedding, seed) for seed in (0, 1)]
    batch = packed_batch(model.logits_via_embedding)
    arguments = (*jax.device_put(given, [shardings, shardings]), batch)
    return jitted.lower(*arguments).compile(), arguments


@functools.cache
def results(model, terms, config=MESHES["data=8"], num_devices=1):
    """(loss, sums, gradients) and the program's text."""
    compiled, arguments = compile_step(model, terms, config, num_devices)
    (loss, sums), gradients = compiled(*arguments)
    return jax.device_get((loss, sums, gradients)), compiled.as_text()


def assert_same_numbers(found, expected, tolerance):
    """Sums and losses to `tolerance`, each gradient to it of its norm; counts are equal."""
    (loss, sums, gradients), (expected_loss, expected_sums, expected_gradients) = found, expected
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance)
    assert sums.keys() == expected_sums.keys()
    for name in sums:
        exact = name in ("correct_sum", "weight_sum", "num_tokens")
        rtol = 0 if exact else tolerance
        np.testing.assert_allclose(sums[name], expected_sums[name], rtol=rtol, err_msg=name)

    def check(path, one, other):
        error = np.linalg.norm(one - other)
        assert 0 < np.linalg.norm(other), jax.tree_util.keystr(path)
        assert error <= tolerance * np.linalg.norm(other), f"{jax.tree_util.keystr(path)} {error}"

    jax.tree_util.tree_map_with_path(check, gradients, expected_gradients)


def sizes_by_vocabulary(text):
    """The numbers of elements of all arrays in a program's text that count the vocabulary."""
    shapes = re.findall(r"[a-z]+\d+\[([\d,]+)\]", text)
    sizes = [math.prod(map(int, shape.split(","))) for shape in shapes]
    return [size for size in sizes if size % 7 == 0]


@pytest.mark.parametrize("tied", [True, False], ids=["v1.0", "v1.1"])
@pytest.mark.parametrize("chunks", [2, 7, 1000], ids="{} chunks".format)
def test_chunks_give_what_the_whole_gives(chunks, tied):
    """Packed rows, smoothed labels, z-loss; 7 do not divide the positions, 1000 are one each. 2e-6
    of a leaf's norm for the order of float32 sums.
    """
    expected, _ = results(model_of(chunks=1, tied=tied), (TOKEN_TERM,))
    found, _ = results(model_of(chunks=chunks, tied=tied), (TOKEN_TERM,))
    assert_same_numbers(found, expected, 2e-6)
    assert expected[1]["correct_sum"] > ROWS


@pytest.mark.parametrize("normalization", [LossNormalization.AVERAGE_PER_SEQUENCE, None], ids=str)
def test_chunks_of_two_terms_give_what_the_whole_gives(normalization):
    """The model's logits and the teacher's, of which a device holds as many together."""
    terms = tuple(dataclasses.replace(term, normalizing_factor=normalization) for term in TERMS)
    expected, _ = results(model_of(chunks=1), terms)
    found, _ = results(model_of(chunks=4), terms)
    assert_same_numbers(found, expected, 2e-6)
    _, text = results(model_of(chunks=4), terms[1:])
    assert max(sizes_by_vocabulary(text)) <= LOGITS // 4 // 2


@ON_MESHES
def test_chunks_on_any_mesh_give_what_the_whole_gives_on_one_device(mesh):
    """INV-22. 1e-5 of a leaf's norm, as for whole logits."""
    expected, _ = results(model_of(chunks=1), TERMS)
    found, _ = results(model_of(chunks=4, devices=8), TERMS, MESHES[mesh], 8)
    assert_same_numbers(found, expected, 1e-5)


@ON_MESHES
def test_no_array_is_as_large_as_the_logits(mesh):
    """Forward and backward: a device holds a chunk of those that it holds all of otherwise."""
    _, text = results(model_of(chunks=4, devices=8), TERMS, MESHES[mesh], 8)
    assert max(sizes_by_vocabulary(text)) < LOGITS // 8
    whole = compile_step(model_of(chunks=1), TERMS, MESHES[mesh], 8)[0].as_text()
    assert max(sizes_by_vocabulary(whole)) >= LOGITS // 8


COLLECTIVE = re.compile(
    r"= (?P<shapes>.*?) (?:all-reduce|reduce-scatter|all-gather|all-to-all|collective-permute)"
    r"(?:-start)?\("
)


def collectives(text):
    """(sizes within loops, sizes outside) of what of the vocabulary travels between devices."""
    bodies, name = {}, None
    for line in text.splitlines():
        if line.endswith("{") and (header := re.match(r"(?:ENTRY )?%?([\w.-]+) ", line)):
            name = header[1]
        bodies.setdefault(name, []).append(line)
    called = {
        name: set(re.findall(r"(?:body|calls|to_apply)=%?([\w.-]+)", "\n".join(lines)))
        for name, lines in bodies.items()
    }
    within = set(re.findall(r"body=%?([\w.-]+)", text))
    while more := set().union(*(called[name] for name in within)) - within:
        within |= more
    found = ([], [])
    for name, lines in bodies.items():
        for line in lines:
            if match := COLLECTIVE.search(line):
                found[name not in within].extend(sizes_by_vocabulary(match["shapes"]))
    return found


@ON_MESHES
def test_the_heads_weights_travel_outside_of_the_loop(mesh):
    """Once a step, not once a chunk: neither they nor their gradients do within any loop."""
    model = model_of(chunks=4, devices=8, tied=False)
    _, text = results(model, (TOKEN_TERM,), MESHES[mesh], 8)
    within, outside = collectives(text)
    assert within == []
    assert bool(outside) == (mesh != "model=8"), "there each device has all rows"
