"""Sums over two processes without end, as a program: `summing_job.py ADDRESS INDEX [ROUNDS]`.

Says "summing" when it does; after ROUNDS this process has an error of its own.
"""

import sys

from t5x_lite.partitioning.devices import simulate_cpu_devices

simulate_cpu_devices(1)

import numpy as np  # noqa: E402
from jax.experimental import multihost_utils  # noqa: E402

from t5x_lite.partitioning import processes  # noqa: E402

address, index, *rounds = sys.argv[1:]
processes.initialize(address, 2, int(index), timeout_s=120)
number = 0
while True:
    multihost_utils.process_allgather(np.int32(1))
    number += 1
    if number == 3:
        print("summing", flush=True)
    if rounds and number == int(rounds[0]):
        raise ArithmeticError("of this process alone")
