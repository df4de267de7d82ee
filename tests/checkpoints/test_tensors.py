"""Tensors come from disk to where they are wanted, whatever their parts and chunks are."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from t5x_lite.checkpoints import leaf_sums, manager, saving, tensors
from t5x_lite.checkpoints.config import SaveCheckpointConfig

SHAPES = {"kernel": (8, 24, 16), "bias": (40,), "step": (), "mask": (16, 8)}
DTYPES = {"kernel": "float32", "bias": "bfloat16", "step": "int32", "mask": "bool"}


def arrays() -> dict:
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(-99, 99, SHAPES[name]).astype(jnp.dtype(DTYPES[name])) for name in SHAPES
    }


@pytest.fixture(scope="module", params=[64, 1000, 1 << 20])
def folder(request, tmp_path_factory):
    """A state in chunks of so many bytes, written by two devices."""
    mesh = jax.make_mesh((2,), ("a",))
    halves = NamedSharding(mesh, PartitionSpec(None, "a"))
    state = {"kernel": jax.device_put(arrays()["kernel"], halves)}
    state |= {name: jnp.asarray(value) for name, value in arrays().items() if name != "kernel"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "_BYTES_OF_CHUNK", request.param)
        run = tmp_path_factory.mktemp("run")
        checkpoints = manager.Checkpoints(run, SaveCheckpointConfig())
        checkpoints.save(1, {"slots": state}, manager.Description(""))
        checkpoints.close()
    return manager.find(run) / "state"


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"kernel": PartitionSpec("a", None, "b"), "bias": PartitionSpec(("a", "b"))},
        {"kernel": PartitionSpec(None, ("b", "a")), "mask": PartitionSpec("b")},
    ],
)
def test_each_device_is_given_its_part(folder, parts, monkeypatch):
    """Of chunks that other parts begin and end in, and with one of them under way at a time."""
    monkeypatch.setattr(tensors, "_BYTES_UNDER_WAY_ON_CPU", 1)
    mesh = jax.make_mesh((2, 4), ("a", "b"))
    asked = {
        f"slots/{name}": jax.ShapeDtypeStruct(
            SHAPES[name],
            DTYPES[name],
            sharding=NamedSharding(mesh, parts.get(name, PartitionSpec())),
        )
        for name in SHAPES
    }
    found, sums = tensors.read(folder, asked)
    for name, host in arrays().items():
        leaf = found[f"slots/{name}"]
        assert leaf.sharding == asked[f"slots/{name}"].sharding
        np.testing.assert_array_equal(leaf, host)
        expected = leaf_sums.begin({name: leaf}, {name: leaf.dtype})[name]
        assert sums[f"slots/{name}"] % 2**32 == int(expected)


def test_what_is_read_can_be_donated(folder):
    """It is JAX's own memory, which a training step takes over and writes its result to."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = jax.ShapeDtypeStruct(SHAPES["kernel"], "float32", sharding=here)
    found, _ = tensors.read(folder, {"slots/kernel": wanted})
    kernel = found["slots/kernel"]
    place = kernel.unsafe_buffer_pointer()
    after = jax.jit(lambda x: x + 1, donate_argnums=0)(kernel)
    assert kernel.is_deleted() and after.unsafe_buffer_pointer() == place
    np.testing.assert_array_equal(after, arrays()["kernel"] + 1)


def test_missing_data_is_no_zero(folder, tmp_path):
    """A file that is gone is an error, not the value that TensorStore fills holes with."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = jax.ShapeDtypeStruct((3,), "float32", sharding=here)
    with pytest.raises(ValueError, match="NOT_FOUND"):
        tensors.read(folder, {"slots/none": wanted})


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux counts it")
def test_memory_is_little_more_than_the_state(tmp_path):
    """On four devices that hold two copies of it; a process of its own saves, another restores."""
    worker = pathlib.Path(__file__).with_name("restore_memory.py")
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
    for mode in ("save", "restore"):
        command = [sys.executable, worker, mode, tmp_path]
        said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert 1 < float(said.stdout) < 1.2
