"""Simulated devices, each case in a fresh interpreter: a backend starts once."""

import subprocess
import sys

import pytest


def run(program, **environment):
    """The output of a program that knows nothing of this session's devices."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
        timeout=300,
    )


SIMULATE = "from t5x_lite.partitioning.devices import simulate_cpu_devices as simulate\n"


def test_devices_are_simulated_before_and_after_jax_is_imported():
    """Also where XLA_FLAGS already ask for another number, and without importing JAX by itself."""
    result = run(
        f"{SIMULATE}import sys; simulate(3); assert 'jax' not in sys.modules\n"
        "import jax; simulate(5); simulate(5)\n"
        "assert len(jax.devices()) == 5 and jax.devices()[0].platform == 'cpu', jax.devices()\n"
        "simulate(5); import os; print(os.environ['PJRT_NPROC'], os.environ['XLA_FLAGS'])",
        XLA_FLAGS="--xla_force_host_platform_device_count=2 --xla_cpu_collective_timeout_seconds=7",
    )
    assert result.returncode == 0, result.stderr
    threads, *flags = result.stdout.split()
    assert int(threads) >= 16
    assert "--xla_cpu_collective_timeout_seconds=7" in flags, "the user's own limit stands"
    assert len(flags) == len({flag.split("=")[0] for flag in flags}), "no flag is given twice"
    assert any("terminate_timeout" in flag for flag in flags)


def test_it_is_too_late_once_a_backend_runs():
    """JAX would keep the old devices in silence, and the mesh would be another one."""
    result = run(f"{SIMULATE}import jax; jax.devices(); simulate(4)", JAX_PLATFORMS="cpu")
    assert "already runs on 1 cpu device(s). Simulate devices before" in result.stderr


@pytest.mark.parametrize("count", [0, 100_000])
def test_no_devices_and_too_many_are_refused(count):
    """A hundred thousand would not come to an end."""
    from t5x_lite.partitioning.devices import simulate_cpu_devices

    with pytest.raises(ValueError, match=f"cpu_devices={count}: needed is at least 1"):
        simulate_cpu_devices(count)


SOAK = f"""
{SIMULATE}simulate(8)
import jax, jax.numpy as jnp
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
kernel, rows = partitioner.sharding(("embed", "mlp")), partitioner.batch_sharding

def loss(weights, x):
    return jnp.mean(jnp.square(jnp.tanh(x @ weights) @ weights.T - x))

@jax.jit
def step(weights, x):
    return weights - 0.01 * jax.grad(loss)(weights, x)

weights = jax.device_put(jax.random.normal(jax.random.key(0), (16, 32)) * 0.1, kernel)
x = jax.device_put(jax.random.normal(jax.random.key(1), (16, 16)), rows)
first = loss(weights, x)
for _ in range(3000):
    weights = step(weights, x)  # nobody waits: steps pile up in the queue
assert loss(weights, x) < first
print("done")
"""


def test_thousands_of_steps_that_nobody_waits_for_do_not_abort():
    """With one thread per core, devices that wait in a collective starve the ones they wait for."""
    result = run(SOAK)
    assert result.stdout.strip() == "done", result.stderr[-2000:]


T5_SOAK = f"""
{SIMULATE}simulate(8)
import numpy as np
from t5x_lite.losses.config import LossConfig
from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step
partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
factory = StateFactory(tiny_model(16), AdafactorConfig(), ScheduleConfig(), partitioner)
step = make_train_step(factory, (LossConfig(),), seed=0)
state = factory.initialize(seed=0)
rng = np.random.default_rng(0)
names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
rows = {{name: rng.integers(1, 16, (4, 4), dtype=np.int32) for name in names}}
rows |= {{f"{{stack}}_segment_ids": np.ones((4, 4), np.int32) for stack in ("encoder", "decoder")}}
batch = partitioner.global_batch(rows)
for _ in range(1000):
    state, metrics = step(state, batch)
assert int(state.step) == 1000 and np.isfinite(metrics["loss"])
print("done")
"""


@pytest.mark.slow
def test_a_t5_trains_for_a_thousand_steps():
    """The same with a model's collectives, dozens in a step, in the shape that users run."""
    result = run(T5_SOAK)
    assert result.stdout.strip() == "done", result.stderr[-2000:]
