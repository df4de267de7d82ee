"""Which device lies where in a mesh, on one slice and on several."""

import dataclasses
import itertools

import jax
import pytest

from t5x_lite import config
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.mesh import across_slices, make_mesh, mesh_shape, num_slices
from t5x_lite.partitioning.partitioner import make_partitioner


@dataclasses.dataclass(frozen=True)
class Chip:
    """What JAX's arrangement asks of a device."""

    id: int
    slice_index: int
    coords: tuple[int, int, int]
    core_on_chip: int = 0
    process_index: int = 0
    platform: str = "tpu"
    device_kind: str = "TPU v4"


def chips(slices):
    """Slices of 2 x 2 chips, dealt out in turn, so that their order has to be found."""
    places = itertools.product(range(2), range(2), range(slices))
    return [Chip(number, each, (x, y, 0)) for number, (x, y, each) in enumerate(places)]


@pytest.mark.parametrize(
    ("slices", "shape"),
    [
        (2, {"slice": 2, "data": 2, "model": 2}),
        (2, {"data": 4, "model": 2}),
        (2, {"data": 2, "model": 4}),
        (2, {"slice": 4, "data": 1, "model": 2}),
        (4, {"slice": 4, "data": 4, "model": 1}),
        (4, {"slice": 4, "data": 2, "model": 2}),
    ],
)
def test_only_the_first_axis_crosses_slices(slices, shape):
    """jax.make_mesh refuses them; every chip has one place, and neighbours stay together."""
    devices = chips(slices)
    found = across_slices(shape, devices)
    assert found.shape == tuple(shape.values())
    assert set(found.flat) == set(devices)
    for number, members in enumerate(found):
        expected = number * slices // len(found)
        assert {each.slice_index for each in members.flat} == {expected}


@pytest.mark.parametrize("shape", [{"data": 1, "model": 8}, {"slice": 1, "data": 4, "model": 2}])
def test_what_would_split_a_tensor_over_slow_links_is_refused(shape):
    with pytest.raises(ValueError, match="2 slices: .*=1, which 2 does not .*NUM_SLICES=2"):
        across_slices(shape, chips(2))


def test_simulated_devices_tell_of_no_slices():
    assert num_slices(jax.devices()) == 1
    assert num_slices(chips(2)) == 2


def test_a_mesh_has_the_axes_that_a_config_names():
    """In their order, over all 8 devices, each once."""
    mesh = make_mesh((("slice", 2), ("data", None), ("model", 2)), jax.devices())
    assert list(mesh.shape.items()) == [("slice", 2), ("data", 2), ("model", 2)]
    assert list(mesh.devices.flat) == jax.devices()


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((("data", None), ("model", 3)), "num_partitions=3 does not divide the 8 devices"),
        ((("slice", 2), ("data", None), ("model", 3)), "divide the 4 of 8 devices .*; 1, 2, 4 do"),
        ((("slice", 3), ("data", None), ("model", 1)), "needed are a multiple of 3 devices"),
        ((("data", 2), ("model", 2)), "needed are 4 devices, and there are 8"),
        ((("rows", None), ("columns", 5)), "needed are a multiple of 5 devices"),
    ],
)
def test_devices_that_do_not_fill_a_mesh_are_refused(axes, expected):
    with pytest.raises(ValueError, match=expected):
        mesh_shape(axes, 8)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mesh_axes": ()}, "needed are \\(name, size\\)"),
        ({"mesh_axes": (("data", 2), ("data", 4))}, "different names"),
        ({"mesh_axes": (("data", None), ("model", None))}, "one may be None"),
        ({"mesh_axes": (("data", None), ("model", 0))}, "at least 1"),
        ({"mesh_axes": (("data", None), ("model", 2)), "num_partitions": 4}, "has one size"),
    ],
)
def test_axes_that_cannot_be_meant_are_refused_before_jax_is_loaded(fields, expected):
    with pytest.raises(ValueError, match=expected):
        PartitioningConfig(**fields)


def test_the_gin_file_of_several_slices_splits_the_batch_over_both():
    """Behind fully_sharded.gin parameters are split within a slice only."""
    files = ["meshes/multislice.gin", "meshes/fully_sharded.gin"]
    flags = [("--gin", "NUM_SLICES=2"), ("--gin", "NUM_PARTITIONS=2")]
    found = config.resolve(PartitioningConfig, files, overrides=flags).config
    assert found.min_devices == 4
    partitioner = make_partitioner(found)
    assert dict(partitioner.mesh.shape) == {"slice": 2, "data": 2, "model": 2}
    assert partitioner.data_axis_size == 4
    assert partitioner.batch_sharding.spec[0] == ("slice", "data")
    kernel = jax.ShapeDtypeStruct((8, 8), "float32")
    (sharding,) = partitioner.shardings([("embed", "mlp")], [kernel])
    assert sharding.spec == jax.sharding.PartitionSpec("data", "model")
    with pytest.raises(ValueError, match="of 6 rows does not divide by slice=2 x data=2"):
        partitioner.check_batch_size(6)
    with pytest.raises(config.ConfigError, match="NUM_SLICES has no value"):
        config.resolve(PartitioningConfig, files)


def test_the_gin_files_of_meshes_go_together():
    """Each changes its own line: slices, parameters over data, the length over model."""
    names = ("multislice", "fully_sharded", "sequence")
    files = [f"meshes/{name}.gin" for name in names]
    flags = [("--gin", "NUM_SLICES=2"), ("--gin", "NUM_PARTITIONS=2")]
    for order in (files, files[::-1]):
        found = config.resolve(PartitioningConfig, order, overrides=flags).config
        assert dict(found.activation_rules) | {
            "batch": ("slice", "data"),
            "length": "model",
        } == dict(found.activation_rules)
        assert dict(found.parameter_rules)["embed"] == "data"
        assert dict(found.axes) == {"slice": 2, "data": None, "model": 2}
