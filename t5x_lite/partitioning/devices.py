"""Simulated devices: a mesh on one CPU, for laptops and CI.

Nothing here imports JAX unless the caller has already done so: what matters must be in the
environment before JAX starts a backend.
"""

import os
import sys

from t5x_lite.errors import UserError

# A collective blocks one thread per device, and the thread pool has one per core: 8 devices on 2
# cores dead-lock within a few hundred steps unless the pool is told of more.
_MINIMUM_THREADS = 16

# Each device has threads of its own; with thousands a machine does not come to an end.
_MAXIMUM_DEVICES = 512

# A slow or busy machine is not a dead-lock. XLA's own limits are 20 s to a warning and 40 s to an
# abort; it refuses flags that it does not know, so these are the names of the pinned jaxlib.
_TIMEOUTS = {
    "xla_cpu_collective_call_warn_stuck_timeout_seconds": 120,
    "xla_cpu_collective_call_terminate_timeout_seconds": 1200,
    "xla_cpu_collective_timeout_seconds": 1200,
}


def simulate_cpu_devices(count: int) -> None:
    """Makes JAX see `count` CPU devices and nothing else. Call it before JAX starts a backend.

    Raises:
        RuntimeError: a backend already runs with other devices.
    """
    if not 1 <= count <= _MAXIMUM_DEVICES:
        raise UserError(
            f"cpu_devices={count}: needed is at least 1 and at most {_MAXIMUM_DEVICES}, e.g. "
            "--cpu_devices=8."
        )
    settings = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(count)}
    os.environ.update(settings, PJRT_NPROC=str(max(_MINIMUM_THREADS, 2 * count)))
    os.environ["XLA_FLAGS"] = _with_timeouts(os.environ.get("XLA_FLAGS", ""))
    if "jax" in sys.modules:
        _configure_imported_jax(count)


def _with_timeouts(flags: str) -> str:
    """Our limits, except where the user has set his own."""
    missing = [f"--{name}={seconds}" for name, seconds in _TIMEOUTS.items() if name not in flags]
    return " ".join([*flags.split(), *missing])


def _configure_imported_jax(count: int) -> None:
    import jax

    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:  # JAX refuses the second one once a backend runs
        found = jax.local_devices()
        if len(found) != count or found[0].platform != "cpu":
            raise RuntimeError(
                f"{count} simulated CPU devices were asked for, but JAX already runs on "
                f"{len(found)} {found[0].platform} device(s). Simulate devices before the first "
                "use of JAX (jax.devices(), any array): `t5x_lite --cpu_devices=...`, or "
                "t5x_lite.partitioning.devices.simulate_cpu_devices at the top of the program or "
                "of conftest.py."
            ) from None
