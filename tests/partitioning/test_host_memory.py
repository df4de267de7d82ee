"""Memory that is freed stays with the process, and JAX asks for it in the thread that calls it."""

import subprocess
import sys

import pytest

# Faults of a program that ran before, which needs 256 MB of temporaries; the fewest of four runs,
# since a busy machine may take pages away.
_PROGRAM = """
import resource, jax, jax.numpy as jnp
from t5x_lite.partitioning import host_memory
if {kept}:
    host_memory.compute_in_calling_thread()
    host_memory.keep_freed()
run = jax.jit(lambda x: (x @ x.T) @ x[:, :1])
x = jnp.ones((8192, 8))
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
found = []
for _ in range(5):
    before = faults()
    run(x).block_until_ready()
    found.append(faults() - before)
print(min(found[1:]))
"""


def faults(*, kept: bool) -> int:
    command = [sys.executable, "-c", _PROGRAM.format(kept=kept)]
    environment = {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_second_run_takes_no_page_anew():
    new = faults(kept=False)
    assert new > 2**27 // 4096, "what is to be avoided"
    assert faults(kept=True) < new / 10
