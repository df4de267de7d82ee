"""A program that is compiled here, whose cost is known: layers of products on 4 x 2 devices."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from t5x_lite.planning import hlo
from t5x_lite.planning.cost import analyse

LAYERS, BATCH, WIDTH = 5, 16, 32


@pytest.fixture(scope="module")
def compiled():
    """The gradient of a scan over layers, weights sharded over both axes."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    weights = NamedSharding(mesh, PartitionSpec(None, "data", "model"))
    rows = NamedSharding(mesh, PartitionSpec("data"))

    def loss(weights, rows):
        def layer(rows, weight):
            return jnp.tanh(rows @ weight), None

        return jax.lax.scan(layer, rows, weights)[0].sum()

    gradient = jax.jit(jax.grad(loss), in_shardings=(weights, rows), out_shardings=weights)
    lowered = gradient.lower(
        jax.ShapeDtypeStruct((LAYERS, WIDTH, WIDTH), jnp.float32),
        jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.float32),
    )
    return hlo.parse(lowered.compile().as_text())


def test_products_count_once_for_each_layer_and_pass(compiled, mesh):
    """Forward, of the rows and of the weights, each over 8 devices."""
    cost = analyse(compiled, mesh=mesh)
    assert cost.flops == 3 * LAYERS * (2 * BATCH * WIDTH * WIDTH) / 8
    assert [(loop.trips, loop.is_known) for loop in cost.loops] == 2 * [(LAYERS, True)]


def test_each_pass_gathers_the_weights_over_data(compiled, mesh):
    """What a device holds of a layer is [32 / 4, 32 / 2]; gathered over data it is [32, 16]."""
    cost = analyse(compiled, mesh=mesh)
    gathered = [each for each in cost.collectives if each.cause.argument == "weights"]
    assert [(each.kind, each.axes, each.group_size) for each in gathered] == 2 * [
        ("all-gather", "data", 4)
    ]
    assert [each.cause.phase for each in gathered] == ["forward", "backward"]
    assert {each.cause.function.rpartition(" > ")[2] for each in gathered} == {"layer"}
    assert {each.payload_bytes for each in gathered} == {WIDTH * WIDTH // 2 * 4}
    assert {each.trips for each in cost.collectives} == {LAYERS}


def test_what_a_loop_carries_on_is_not_what_it_began_with(compiled, mesh):
    """The rows of each layer are gathered over model; only those of the first are the argument."""
    found = analyse(compiled, mesh=mesh).collectives
    assert any(each.kind == "all-gather" and each.axes == "model" for each in found)
    assert {each.cause.argument for each in found} == {"", "weights"}


def test_rows_and_gradients_cross_the_other_axes(compiled, mesh):
    """Rows over model, their gradients too, those of weights over data."""
    cost = analyse(compiled, mesh=mesh)
    reduced = {
        (each.axes, each.payload_bytes, each.cause.phase, each.cause.factor)
        for each in cost.collectives
        if each.kind == "all-reduce"
    }
    rows, weights = BATCH // 4 * WIDTH * 4, WIDTH // 2 * WIDTH * 4
    assert reduced == {
        ("model", rows, "backward", "weights"),
        ("data", weights, "backward", ""),
    }


def test_buffers_hold_what_the_program_stacks(compiled, mesh):
    """The weights of a device, and the activations that the backward pass needs."""
    buffers = analyse(compiled, mesh=mesh).largest_buffers
    sizes = [each.size for each in buffers]
    assert sizes == sorted(sizes, reverse=True)
    found = {each.dims: each for each in buffers}
    assert found[LAYERS, WIDTH // 4, WIDTH // 2].size == LAYERS * 8 * 16 * 4
    assert (LAYERS, BATCH // 4, WIDTH // 2) in found
    assert (LAYERS, BATCH, WIDTH) not in found


def test_a_buffer_is_what_lies_in_hbm_and_is_new(collective_matmul, mesh):
    """Arguments and results: neither what is on the chip nor what starts and tuples hold again."""
    found = {each.dims: each for each in analyse(collective_matmul, mesh=mesh).largest_buffers}
    assert set(found) == {(16, 32), (10, 8), (8, 6), (10, 6), ()}
    kernel = found[16, 32]
    assert (kernel.dtype, kernel.size, kernel.count) == ("bf16", 1024, 1)
    assert kernel.op_name == "state.parameters['encoder']['layers']['mlp']['wo']['kernel']"
