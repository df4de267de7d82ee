"""Two processes on one machine do together what one does alone."""

import json
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

JOB = pathlib.Path(__file__).parent / "training_job.py"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(JOB), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )


def finish(jobs):
    try:
        for job in jobs:
            output, _ = job.communicate(timeout=180)
            assert job.returncode == 0, output[-3000:]
    finally:
        for job in jobs:
            job.kill()


@pytest.mark.multiprocess
@pytest.mark.slow
def test_two_processes_take_the_step_that_one_takes(tmp_path):
    """Loss, every gradient and every new parameter, to float32 round-off; so no process trains
    alone, and the loss is the mean over the tokens of both.
    """
    address = f"localhost:{free_port()}"
    finish([start(tmp_path / "alone")])
    finish([start(tmp_path / f"process{index}", address, 2, index) for index in range(2)])
    alone = np.load(tmp_path / "alone.npz")
    for index in range(2):
        facts = json.loads((tmp_path / f"process{index}.json").read_text())
        assert facts["process_count"] == 2
        assert (facts["devices"], facts["local_devices"]) == (8, 4)
        assert facts["reader"] == [index, 2]
        assert facts["reader_when_model_spans"] == [0, 1]
        assert facts["sum_when_model_spans"] == facts["sum_of_rows"]
        together = np.load(tmp_path / f"process{index}.npz")
        assert len(together.files) == len(alone.files)
        for name in alone.files:
            error = np.linalg.norm(together[name] - alone[name])
            assert error <= 1e-5 * np.linalg.norm(alone[name]), name
