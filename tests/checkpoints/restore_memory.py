"""`restore_memory.py MODE FOLDER`: how many bytes of memory restoring takes for a byte."""

import pathlib
import re
import sys

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from t5x_lite.checkpoints import manager, restoring
from t5x_lite.checkpoints.config import SaveCheckpointConfig

KERNELS = {f"kernel_{number}": (8, 512, 2048) for number in range(6)}
SHAPES = KERNELS | {"table": (16384, 1024)}


def main(mode: str, folder: str) -> None:
    """Saves a state, or restores it and prints the peak."""
    mesh = jax.make_mesh((2, 2), ("data", "model"))
    parts = dict.fromkeys(KERNELS, PartitionSpec(None, None, "model"))
    parts |= {"table": PartitionSpec("model")}
    abstract = {
        name: jax.ShapeDtypeStruct(shape, "float32", sharding=NamedSharding(mesh, parts[name]))
        for name, shape in SHAPES.items()
    }
    if mode == "save":
        state = {
            name: jnp.full(leaf.shape, 1.5, device=leaf.sharding) for name, leaf in abstract.items()
        }
        checkpoints = manager.Checkpoints(folder, SaveCheckpointConfig())
        checkpoints.save(1, {"parameters": state}, manager.Description(""))
        checkpoints.close()
        return
    checkpoint, before = manager.find(folder), kilobytes("VmRSS")
    state = jax.block_until_ready(restoring.restore(checkpoint, {"parameters": abstract}))
    shards = (shard for leaf in jax.tree.leaves(state) for shard in leaf.addressable_shards)
    size = sum(shard.data.nbytes for shard in shards)
    print(1024 * (kilobytes("VmHWM") - before) / size)


def kilobytes(name: str) -> int:
    """Of this process, as Linux counts: the most that getrusage knows may be its parent's."""
    status = pathlib.Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found, status
    return int(found.group(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
