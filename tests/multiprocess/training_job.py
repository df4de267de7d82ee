"""One step of a tiny T5, as a program: `training_job.py OUTPUT [ADDRESS COUNT INDEX]`.

8 devices in all, in one process or divided among COUNT. Each process knows the whole batch but
feeds only the rows that are its own.
"""

import json
import sys

from t5x_lite.partitioning.devices import simulate_cpu_devices

output, *flags = sys.argv[1:]
address, count, index = (flags[0], int(flags[1]), int(flags[2])) if flags else (None, None, None)
simulate_cpu_devices(8 // (count or 1))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from t5x_lite.features.outputs import TOKENS  # noqa: E402
from t5x_lite.losses.config import LossConfig  # noqa: E402
from t5x_lite.losses.tokens import compute_loss  # noqa: E402
from t5x_lite.model import transformer  # noqa: E402
from t5x_lite.optim.config import AdamWConfig  # noqa: E402
from t5x_lite.optim.optimizer import make_optimizer, state_axes  # noqa: E402
from t5x_lite.partitioning import processes  # noqa: E402
from t5x_lite.partitioning.config import PartitioningConfig  # noqa: E402
from t5x_lite.partitioning.partitioner import make_partitioner  # noqa: E402
from t5x_lite.testing import tiny_model  # noqa: E402

processes.initialize(address, count, index, timeout_s=120)
MODEL = tiny_model(vocab_size=16)


def own_rows(partitioner, batch):
    """What a data pipeline of this process would give: its part, nothing else."""
    part, parts = partitioner.reader
    return {name: np.array_split(rows, parts)[part] for name, rows in batch.items()}


partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
rng = np.random.default_rng(0)
features = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
host_batch = {name: rng.integers(2, 16, (8, 6), dtype=np.int32) for name in features}
# Rows differ in length, so a mean of the processes' means would differ from the mean over tokens.
host_batch["decoder_target_tokens"][:4, 2:] = 0
host_batch["encoder_segment_ids"] = np.ones((8, 6), np.int32)
host_batch["decoder_segment_ids"] = np.int32(host_batch["decoder_target_tokens"] > 0)
batch = partitioner.global_batch(own_rows(partitioner, host_batch))

axes, shapes = transformer.parameter_axes(MODEL), transformer.abstract_parameters(MODEL)
optimizer = make_optimizer(AdamWConfig(), lambda step: jnp.float32(0.01), axes)
shardings = partitioner.shardings(axes, shapes)
slots = partitioner.shardings(
    state_axes(AdamWConfig(), axes, shapes), jax.eval_shape(optimizer.init, shapes)
)


def loss_of(parameters, batch):
    with partitioner.activations():
        scores = transformer.apply(MODEL, parameters, batch).heads[TOKENS]
        return compute_loss(scores, batch, LossConfig(), training=True)[0]


def step(parameters, state, batch):
    loss, gradients = jax.value_and_grad(loss_of)(parameters, batch)
    updates, state = optimizer.update(gradients, state, parameters)
    return optax.apply_updates(parameters, updates), loss, gradients


parameters = jax.jit(
    lambda: transformer.init_parameters(MODEL, jax.random.key(0)), out_shardings=shardings
)()
state = jax.jit(optimizer.init, out_shardings=slots)(parameters)
results = jax.jit(step, out_shardings=partitioner.sharding(()))(parameters, state, batch)
leaves = [np.asarray(leaf.addressable_data(0)) for leaf in jax.tree.leaves(results)]
np.savez(f"{output}.npz", *leaves)

# A model split over all devices spans the processes: all of them must then feed the same rows.
spanning = make_partitioner(PartitioningConfig(num_partitions=8))
shared = spanning.global_batch(own_rows(spanning, host_batch))
facts = {
    "process_count": jax.process_count(),
    "devices": len(jax.devices()),
    "local_devices": len(jax.local_devices()),
    "reader": partitioner.reader,
    "reader_when_model_spans": spanning.reader,
    "sum_when_model_spans": sum(int(jnp.sum(rows)) for rows in shared.values()),
    "sum_of_rows": sum(int(rows.sum()) for rows in host_batch.values()),
}
with open(f"{output}.json", "w") as file:
    json.dump(facts, file)
