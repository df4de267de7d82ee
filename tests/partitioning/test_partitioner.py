import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.partitioning.config import STANDARD_LOGICAL_AXIS_RULES, PartitioningConfig
from t5x_lite.partitioning.constrain import constrain, over_shards
from t5x_lite.partitioning.partitioner import make_partitioner


def partitioner(num_partitions=2, rules=STANDARD_LOGICAL_AXIS_RULES):
    return make_partitioner(
        PartitioningConfig(num_partitions=num_partitions, logical_axis_rules=rules)
    )


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


@pytest.mark.parametrize("num_partitions", [1, 2, 4, 8])
def test_num_partitions_is_the_size_of_model(num_partitions):
    """As in T5X; data takes the rest of the 8 devices, each exactly once."""
    mesh = partitioner(num_partitions).mesh
    assert dict(mesh.shape) == {"data": 8 // num_partitions, "model": num_partitions}
    assert set(mesh.devices.flat) == set(jax.devices())


@pytest.mark.parametrize("num_partitions", [3, 16])
def test_a_mesh_that_the_devices_cannot_fill_names_those_that_they_can(num_partitions):
    with pytest.raises(ValueError, match="the 8 devices there are; 1, 2, 4, 8 do"):
        partitioner(num_partitions)


def test_fewer_devices_may_be_given():
    """Eval of a small model beside a job, or a test on one device."""
    mesh = make_partitioner(PartitioningConfig(), jax.devices()[:2]).mesh
    assert dict(mesh.shape) == {"data": 2, "model": 1}


def test_everything_that_does_not_fit_is_said_at_once():
    """One message per dimension, not one per launch; each names a parameter."""
    axes = {
        "bias": ("heads", "relpos_buckets"),
        "decoder": {"wi": ("embed", "mlp"), "wo": ("mlp", "embed")},
    }
    shapes = {"bias": shape(6, 32), "decoder": {"wi": shape(8, 30), "wo": shape(30, 8)}}
    with pytest.raises(ValueError, match="does not fit the mesh") as error:
        partitioner(4).shardings(axes, shapes)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "bias: 6 heads do not divide by model=4; num_partitions 1, 2, 3, 6 do" in lines[1]
    assert "decoder/wi: 30 mlp do not divide by model=4" in lines[2]


def test_an_unknown_axis_names_its_parameter():
    with pytest.raises(ValueError, match="decoder/wi has the logical axis 'mpl'.*'mlp'"):
        partitioner().shardings(
            {"decoder": {"wi": ("embed", "mpl")}}, {"decoder": {"wi": shape(8, 8)}}
        )


def test_axes_that_do_not_match_the_rank_are_refused():
    with pytest.raises(ValueError, match="wi has shape .* needed is one name per dimension"):
        partitioner().shardings({"wi": ("embed",)}, {"wi": shape(8, 8)})


@pytest.mark.parametrize(("given", "options"), [(6, "4 and 8"), (3, "4"), (0, "4")])
def test_a_batch_that_does_not_split_names_the_next_sizes(given, options):
    with pytest.raises(ValueError, match=f"batch of {given} rows.*data=4.*that do are {options}:"):
        partitioner(2).check_batch_size(given)
    partitioner(2).check_batch_size(8)


@pytest.mark.parametrize(("given", "filled"), [(1, 4), (4, 4), (6, 8)])
def test_a_batch_that_is_filled_up_has_the_next_size_that_splits(given, filled):
    assert partitioner(2).filled_batch_size(given) == filled


def test_a_global_batch_keeps_its_rows_in_order_and_splits_them():
    """Row i of the host array is row i of the global one, whatever the mesh."""
    rows = np.arange(24, dtype=np.int32).reshape(8, 3)
    batch = partitioner(2).global_batch({"tokens": rows})
    np.testing.assert_array_equal(batch["tokens"], rows)
    assert {shard.data.shape for shard in batch["tokens"].addressable_shards} == {(2, 3)}


def test_a_replicated_batch_has_one_reader():
    """With batch -> None every process must read every row."""
    whole = partitioner(2, (("batch", None),))
    assert whole.data_axis_size == 1
    assert whole.reader == (0, 1)
    whole.check_batch_size(3)


def test_constrain_places_activations_only_inside_a_partitioner():
    """The model is the same code with and without a mesh."""
    x = jnp.ones((4, 6, 8))
    assert constrain(x, ("batch", "length", "mlp")) is x

    @jax.jit
    def placed(x):
        with partitioner(2).activations():
            return constrain(x, ("batch", "length", "mlp"))

    assert placed(x).sharding.spec == jax.sharding.PartitionSpec("data", None, "model")
    assert constrain(x, ("batch", "length", "mlp")) is x


def test_parameters_and_activations_may_have_rows_of_their_own():
    """All rows of a logical axis are replaced, in their place; the other table keeps them."""
    config = PartitioningConfig(
        num_partitions=2,
        parameter_axis_rules=(("embed", "data"), ("mlp", None)),
        activation_axis_rules=(("mlp", None), ("embed", "model")),
    )
    found = make_partitioner(config)
    tree = found.shardings({"wi": ("embed", "mlp")}, {"wi": shape(8, 8)})
    assert tree["wi"].spec == jax.sharding.PartitionSpec("data", None)
    assert found.sharding(("batch", "mlp")).spec == jax.sharding.PartitionSpec("data", None)
    assert found.sharding(("batch", "embed")).spec == jax.sharding.PartitionSpec("data", "model")
    assert [axis for axis, _ in config.parameter_rules] == [
        axis for axis, _ in STANDARD_LOGICAL_AXIS_RULES
    ]


@pytest.mark.parametrize("name", ["parameter_axis_rules", "activation_axis_rules"])
def test_a_row_that_replaces_none_names_the_nearest(name):
    with pytest.raises(ValueError, match=f"{name}: 'embd' is no row .* did you mean 'embed'"):
        PartitioningConfig(**{name: (("embd", "data"),)})


def test_constrain_wants_a_name_per_dimension():
    """A missing name would shift every later axis to the wrong mesh axis."""
    with partitioner().activations(), pytest.raises(ValueError, match="one name .* per dimension"):
        constrain(jnp.ones((4, 6)), ("batch", "length", "mlp"))


def test_the_table_accounts_for_every_byte_of_a_device():
    """Its total is what a device really holds; the answer to 'num_partitions had no effect'."""
    axes = {"wi": ("layers", "embed", "mlp"), "scale": ("embed",)}
    shapes = {"wi": shape(2, 8, 16), "scale": shape(8)}
    state_axes = {"step": (), "wi": {"v": ("layers", "embed", "mlp")}, "scale": {"v": ("embed",)}}
    state = {"step": shape(), "wi": {"v": shape(2, 8, 16)}, "scale": {"v": shape(8)}}
    lines = partitioner(4).table(axes, shapes, state_axes, state).splitlines()
    assert lines[0] == "mesh data=2 x model=4 (8 devices)"
    cells = {line.split("  ")[0]: line.split() for line in lines[2:]}
    assert cells["wi"][-1] == str(4 * 2 * 8 * 16 // 4)
    assert "layers, embed, mlp" in next(line for line in lines if line.startswith("wi"))
    assert cells["all parameters"][-1] == str(256 + 32)
    assert cells["optimizer v (2)"][-1] == str(256 + 32)
    assert cells["all"][-1] == str(2 * (256 + 32) + 4)


def test_over_shards_gives_each_device_its_part():
    """And the sum of gradients of what devices share; without a partitioner nothing is split."""

    def scaled(x, factor):
        return x * factor * x.shape[0]

    def total(x, factor):
        run = over_shards(scaled, (("batch", "heads"), (None, "heads")), ("batch", "heads"))
        return jnp.sum(run(x, factor))

    x, factor = jnp.arange(32.0).reshape(8, 4), jnp.arange(4.0)[None]
    whole = jax.grad(total, argnums=1)(x, factor)

    @jax.jit
    def on_mesh(x, factor):
        with partitioner().activations():
            return jax.grad(total, argnums=1)(x, factor)

    # Each of the four parts of the batch has two rows.
    np.testing.assert_array_equal(on_mesh(x, factor) * 4, whole)
    with pytest.raises(UserError, match="3 heads do not divide by model=2"):
        on_mesh(x[:, :3], factor[:, :3])
