"""However a process ends, the others end too, soon, and say why."""

import pathlib
import socket
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.multiprocess, pytest.mark.slow]

JOB = pathlib.Path(__file__).parent / "summing_job.py"


@pytest.fixture(name="start")
def _start():
    """Starts the two processes, the second with more words, and ends what the test leaves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []

    def start(*words):
        for index in range(2):
            command = [sys.executable, str(JOB), address, str(index), *(words if index else ())]
            started.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_within_seconds(killed, start):
    """By the time-outs of JAX it is 93 seconds; the status is one that schedulers retry."""
    processes = start()
    for process in processes:
        assert any("summing" in line for line in process.stdout)
    processes[killed].kill()
    began = time.monotonic()
    said = processes[1 - killed].communicate(timeout=100)[1]
    assert time.monotonic() - began < 30
    assert processes[1 - killed].returncode == 75, said[-3000:]
    assert f"process {killed} at 127.0.0.1 is gone" in said


def test_an_error_of_one_process_ends_the_other_with_its_status(start):
    """The other would wait for its part of the sum."""
    processes = start("20")
    said = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1], said
    assert "process 1 ended with an error" in said[0]
    assert "ArithmeticError: of this process alone" in said[1]
