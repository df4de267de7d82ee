"""Sharding is a layout, not a computation: every mesh gives one device's numbers (INV-22)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t5x_lite.features.outputs import TOKENS
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.model import transformer
from t5x_lite.model.choices import AttentionForm, Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.optim.config import AdafactorConfig
from t5x_lite.optim.optimizer import make_optimizer, state_axes
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model

VOCAB, ROWS, LENGTH = 64, 16, 10
T5 = tiny_model(VOCAB, dropout_rate=0.1)
# Factored already at these sizes, so that row and column means cross shards.
OPTIMIZER = AdafactorConfig(min_dim_size_to_factor=16)
LOSS = LossConfig(z_loss=0.01, label_smoothing=0.1)

MESHES = pytest.mark.parametrize("num_partitions", [1, 2, 4, 8], ids="model={}".format)
THREE_AXES = PartitioningConfig(
    mesh_axes=(("slice", 2), ("data", None), ("model", 2)),
    activation_axis_rules=(("batch", ("slice", "data")),),
)
# Parameters that are split within a slice, and over all devices.
SHARDED = dataclasses.replace(THREE_AXES, parameter_axis_rules=(("embed", "data"),))
EVERYWHERE = dataclasses.replace(THREE_AXES, parameter_axis_rules=(("embed", ("slice", "data")),))
# Activations that are split over `model` between the sub-layers too, along a length that 4 does not
# divide, or along embed.
OVER_DATA = (("embed", "data"),)
SEQUENCE = PartitioningConfig(
    num_partitions=4,
    parameter_axis_rules=OVER_DATA,
    activation_axis_rules=(("length", "model"),),
)
TWO_DIMENSIONAL = PartitioningConfig(
    num_partitions=4,
    parameter_axis_rules=OVER_DATA,
    activation_axis_rules=(("embed", "model"),),
)
CONFIGS = {
    **{f"model={number}": PartitioningConfig(num_partitions=number) for number in (1, 4, 8)},
    "three axes": THREE_AXES,
    "sharded": SHARDED,
    "everywhere": EVERYWHERE,
    "sequence": SEQUENCE,
    "2-D": TWO_DIMENSIONAL,
}
# Of a model with biases, which are split as what they are added to, the meshes that split most.
T5_AND_GPT2 = pytest.mark.parametrize(
    ("model", "config"),
    [pytest.param("t5", each, id=f"t5-{name}") for name, each in CONFIGS.items()]
    + [
        pytest.param("gpt2", CONFIGS[name], id=f"gpt2-{name}")
        for name in ("everywhere", "sequence")
    ],
    indirect=["model"],
)


def packed_batch():
    """Two segments a row, of different lengths, and padding."""
    rng = np.random.default_rng(0)
    segments = np.repeat([[1] * 4 + [2] * 5 + [0]], ROWS, axis=0).astype(np.int32)
    segments[: ROWS // 2] = [1] * 3 + [2] * 2 + [0] * 5
    real = segments > 0
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    batch = {
        name: np.where(real, rng.integers(2, VOCAB, (ROWS, LENGTH)), 0).astype(np.int32)
        for name in names
    }
    return batch | {"encoder_segment_ids": segments, "decoder_segment_ids": segments}


@pytest.fixture
def model(request, gpt2_of):
    return T5 if request.param == "t5" else gpt2_of(VOCAB_SIZE=VOCAB, DROPOUT_RATE=0.1)


def loss_of(model, parameters, batch):
    outputs = transformer.apply(model, parameters, batch, dropout_key=jax.random.key(7))
    return compute_loss(outputs.heads[TOKENS], batch, LOSS, training=True)[0]


@functools.cache
def on_one_device(model):
    """Parameters, loss and gradients without any mesh."""
    parameters = jax.jit(functools.partial(transformer.init_parameters, model))(jax.random.key(0))
    batch = jax.tree.map(jnp.asarray, packed_batch())
    step = jax.value_and_grad(functools.partial(loss_of, model))
    return parameters, *jax.jit(step)(parameters, batch)


def assert_leaves_close(found, expected, tolerance):
    """Each leaf to `tolerance` of its norm."""

    def check(path, one, other):
        error = np.linalg.norm(np.asarray(one) - np.asarray(other))
        assert error <= tolerance * np.linalg.norm(other), f"{jax.tree_util.keystr(path)} {error}"

    jax.tree_util.tree_map_with_path(check, found, expected)


def without_key_biases(gradients):
    """What is added to all keys alike softmax does not see: its gradient is the rounding of 0."""

    def kept(path, leaf):
        if jax.tree_util.keystr(path[-2:], simple=True, separator="/") != "key/bias":
            return leaf
        assert np.abs(leaf).max() < 1e-6
        return np.zeros_like(leaf)

    return jax.tree_util.tree_map_with_path(kept, gradients)


def placed(model, config, parameters):
    """The mesh, the shardings and the parameters on it."""
    partitioner = make_partitioner(config)
    axes, shapes = transformer.parameter_axes(model), transformer.abstract_parameters(model)
    shardings = partitioner.shardings(axes, shapes)
    return partitioner, shardings, jax.device_put(parameters, shardings)


@T5_AND_GPT2
def test_loss_and_gradients_do_not_depend_on_the_mesh(model, config):
    """Dropout included. 1e-5 of a leaf's norm covers the order of float32 sums."""
    assert_loss_and_gradients_on_mesh(model, config)


@pytest.mark.parametrize(
    ("form", "block", "config", "shared", "window", "every"),
    [
        ("blockwise", 4, EVERYWHERE, False, None, 1),
        ("blockwise", 2, SEQUENCE, True, 3, 1),
        ("pallas", 128, SEQUENCE, True, 3, 2),
    ],
    ids=lambda value: "" if isinstance(value, PartitioningConfig) else str(value),
)
def test_nor_does_attention_by_blocks(form, block, config, shared, window, every):
    """Blocks that do not divide the length; gradients of the bias are sums over devices, also where
    each of them runs a kernel on its own part. In windows, of all layers or of every other one, a
    device has blocks of others to see.
    """
    compute = ComputeConfig(attention=AttentionForm(form), attention_block=block)
    encoder, decoder = (
        dataclasses.replace(stack, window=window, window_every=every)
        for stack in (T5.encoder, T5.decoder)
    )
    model = dataclasses.replace(
        T5, compute=compute, dropout_shared_along_length=shared, encoder=encoder, decoder=decoder
    )
    assert_loss_and_gradients_on_mesh(model, config)


def assert_loss_and_gradients_on_mesh(model, config):
    parameters, expected_loss, expected = on_one_device(model)
    partitioner, shardings, parameters = placed(model, config, parameters)

    def on_mesh(parameters, batch):
        with partitioner.activations():
            return loss_of(model, parameters, batch)

    step = jax.jit(jax.value_and_grad(on_mesh), out_shardings=(partitioner.sharding(()), shardings))
    loss, gradients = step(parameters, partitioner.global_batch(packed_batch()))
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    assert_leaves_close(without_key_biases(gradients), without_key_biases(expected), 1e-5)


def two_updates(model, gradients, parameters):
    """The second one moves with a decay that is not 0."""
    axes = transformer.parameter_axes(model)
    optimizer = make_optimizer(OPTIMIZER, lambda step: jnp.float32(0.01), axes)
    first, state = optimizer.update(gradients, optimizer.init(parameters), parameters)
    moved = optax.apply_updates(parameters, first)
    return optimizer.update(jax.tree.map(lambda g: g * 0.5, gradients), state, moved)


@functools.cache
def updates_on_one_device(model):
    """Second updates and the state after them."""
    parameters, _, gradients = on_one_device(model)
    return jax.jit(functools.partial(two_updates, model))(gradients, parameters)


@T5_AND_GPT2
def test_updates_from_identical_gradients_do_not_depend_on_the_mesh(model, config):
    """Gradients are given, since Adafactor's first step is sign(g), which round-off flips."""
    parameters, _, gradients = on_one_device(model)
    expected, expected_state = updates_on_one_device(model)
    partitioner, shardings, on_mesh = placed(model, config, parameters)
    axes = state_axes(OPTIMIZER, transformer.parameter_axes(model), parameters)
    slots = partitioner.shardings(axes, expected_state)
    step = jax.jit(functools.partial(two_updates, model), out_shardings=(shardings, slots))
    found, state = step(jax.device_put(gradients, shardings), on_mesh)
    assert_leaves_close(found, expected, 1e-6)
    assert_leaves_close(state, expected_state, 1e-6)


@MESHES
def test_shards_have_the_shapes_of_the_contract(num_partitions):
    """vocabulary, feed-forward and heads over model, the batch over data, all else whole."""
    m = num_partitions
    config = PartitioningConfig(num_partitions=m)
    partitioner, _, parameters = placed(T5, config, on_one_device(T5)[0])
    layer = parameters["decoder"]["layers"]
    kinds = {
        "embedding": (parameters["token_embedder"]["embedding"], (VOCAB // m, 32)),
        "bias": (parameters["decoder"]["relpos_bias"]["rel_embedding"], (8 // m, 32)),
        "query": (layer["self_attention"]["query"]["kernel"], (2, 32, 32 // m)),
        "out": (layer["encoder_decoder_attention"]["out"]["kernel"], (2, 32 // m, 32)),
        "wi": (layer["mlp"]["wi"]["kernel"], (2, 32, 64 // m)),
        "wo": (layer["mlp"]["wo"]["kernel"], (2, 64 // m, 32)),
        "norm": (layer["pre_mlp_layer_norm"]["scale"], (2, 32)),
        "batch": (
            partitioner.global_batch(packed_batch())["decoder_target_tokens"],
            (ROWS * m // 8, LENGTH),
        ),
    }
    for name, (array, shape) in kinds.items():
        assert {shard.data.shape for shard in array.addressable_shards} == {shape}, name


@MESHES
def test_biases_are_split_as_what_they_are_added_to(num_partitions, gpt2_of):
    """Of heads and hidden units over model; those that end a residual sub-layer, norms and the
    table of positions are whole.
    """
    m, model = num_partitions, gpt2_of(VOCAB_SIZE=VOCAB, DROPOUT_RATE=0.1)
    config = PartitioningConfig(num_partitions=m)
    _, _, parameters = placed(model, config, on_one_device(model)[0])
    layer = parameters["decoder"]["layers"]
    kinds = {
        "query": (layer["self_attention"]["query"]["bias"], (2, 32 // m)),
        "out": (layer["self_attention"]["out"]["bias"], (2, 32)),
        "wi": (layer["mlp"]["wi"]["bias"], (2, 64 // m)),
        "wo": (layer["mlp"]["wo"]["bias"], (2, 32)),
        "norm": (layer["pre_mlp_layer_norm"]["bias"], (2, 32)),
        "positions": (parameters["decoder"]["position_embedder"]["embedding"], (32, 32)),
    }
    for name, (array, shape) in kinds.items():
        assert {shard.data.shape for shard in array.addressable_shards} == {shape}, name


@pytest.mark.parametrize("remat", ["none", "full"])
def test_no_device_ever_holds_all_layers_of_a_kernel(remat):
    """Kernels split over `data` are gathered layer by layer, in the backward pass again."""
    layers = 3
    encoder, decoder = (
        dataclasses.replace(stack, num_layers=layers) for stack in (T5.encoder, T5.decoder)
    )
    compute = dataclasses.replace(T5.compute, remat=Remat(remat))
    model = dataclasses.replace(T5, encoder=encoder, decoder=decoder, compute=compute)
    parameters = transformer.abstract_parameters(model)
    wi = parameters["decoder"]["layers"]["mlp"]["wi"]["kernel"].shape
    assert wi[0] == layers

    def program(config):
        partitioner = make_partitioner(config)
        places = partitioner.shardings(transformer.parameter_axes(model), parameters)

        def on_mesh(parameters, batch):
            with partitioner.activations():
                return loss_of(model, parameters, batch)

        step = jax.jit(jax.grad(on_mesh), in_shardings=(places, None), out_shardings=places)
        return step.lower(parameters, packed_batch()).compile().as_text()

    whole = f"f32[{','.join(map(str, wi))}]"
    if remat == "none":
        assert whole in program(PartitioningConfig())
    assert whole not in program(PartitioningConfig(parameter_axis_rules=(("embed", "data"),)))
