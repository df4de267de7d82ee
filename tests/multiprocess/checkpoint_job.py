"""Saves and restores on 8 devices, as a program: `checkpoint_job.py FOLDER [ADDRESS COUNT INDEX]`.

Prints one JSON line with what this process saw.
"""

import json
import sys

from t5x_lite.partitioning.devices import simulate_cpu_devices

directory, *flags = sys.argv[1:]
address, count, index = (flags[0], int(flags[1]), int(flags[2])) if flags else (None, 1, 0)
simulate_cpu_devices(8 // count)

import jax  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

from t5x_lite.checkpoints import folders, manager, saving  # noqa: E402
from t5x_lite.checkpoints.config import SaveCheckpointConfig  # noqa: E402
from t5x_lite.partitioning import processes  # noqa: E402

processes.initialize(address, count if flags else None, index if flags else None, timeout_s=120)


def on_mesh(rows, columns):
    """A state's shapes on a mesh of this form, and the state of a step."""
    mesh = Mesh(np.array(jax.devices()).reshape(rows, columns), ("x", "y"))
    split = NamedSharding(mesh, PartitionSpec("x", "y"))
    whole = NamedSharding(mesh, PartitionSpec())

    def state(step):
        kernel = np.arange(64, dtype=np.float32).reshape(8, 8) * step
        number = np.int32(step)
        return {
            "step": jax.make_array_from_callback((), whole, lambda _: number),
            "parameters": jax.make_array_from_callback((8, 8), split, lambda at: kernel[at]),
        }

    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state(0)
    ), state


def is_step(found, step):
    """Whether every shard that this process holds is that of the step."""
    kernel = np.arange(64, dtype=np.float32).reshape(8, 8) * step
    return all(
        np.array_equal(shard.data, kernel[shard.index])
        for shard in found["parameters"].addressable_shards
    )


def remember_that_nothing_is_there():
    """As a host whose shared file system has cached its look-ups of before."""
    path = type(manager.absolute(directory))
    exists, steps = path.exists, folders.steps
    path.exists = lambda self: self.name not in ("manifest.json", "state") and exists(self)
    folders.steps = lambda model_dir: []

    def look_anew():
        path.exists, folders.steps = exists, steps

    return look_anew


facts = {}
abstract, state = on_mesh(4, 2)
checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig(keep=5, minutes=1e-9))
facts["due"] = [step for step in range(1, 31) if checkpoints.due(step)]
look_anew = remember_that_nothing_is_there() if 0 < index == count - 1 else lambda: None
if manager.newest(directory) is None:
    write_part = saving.manifest.write_part
    for step in (1, 2, 3):
        if step == 2 and index == count - 1:  # the last process's disk is full
            saving.manifest.write_part = lambda *arguments: 1 / 0
        files = {"dataset": {f"shard_{index}": b"x"}}
        checkpoints.save(step, state(step), manager.Description(""), files)
        facts[f"saved_{step}"] = checkpoints.wait()
        saving.manifest.write_part = write_part
    checkpoints.save(3, state(3), manager.Description(""))  # it is there already
newest = manager.newest(directory, sums=True, move_aside=True)
assert newest is not None
look_anew()  # Orbax looks for itself before it reads
facts["newest"] = newest.name
for rows, columns in ((4, 2), (2, 4), (1, 8)):
    abstract, _ = on_mesh(rows, columns)
    found = manager.restore(newest, abstract)
    facts[f"restored_{rows}x{columns}"] = is_step(found, manager.step_of(newest))
checkpoints.close()
print(json.dumps(facts))
