"""A run of `t5x_lite train` goes on in other numbers of processes, and all of them stop as one."""

import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = [pytest.mark.multiprocess, pytest.mark.slow]

TASKS = pathlib.Path(__file__).resolve().parents[1] / "training"
T5X_LITE = [sys.executable, "-m", "t5x_lite"]
TRAIN = [
    *T5X_LITE,
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_copy",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}",
    "--gin.VOCAB_SIZE=384",
    "--gin.BATCH_SIZE=8",
    "--gin.NUM_DATA_SHARDS=2",
    "--gin.LOG_PERIOD=1",
    "--gin.EVAL_STEPS=0",
]
# The first step ruins the parameters, so no later one counts.
RUINED = ["--gin.LEARNING_RATE=1e30", "--gin.LEARNING_RATE_FACTORS=constant"]
STEPS = 24


class Job:
    """One command in as many processes as asked for, 4 devices in all."""

    def __init__(self, directory: pathlib.Path, *words: str, count: int = 1):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self._outputs = [directory / f"output_{index}.txt" for index in range(count)]
        self.processes = []
        for index, output in enumerate(self._outputs):
            flags = [f"--cpu_devices={4 // count}"]
            if count > 1:
                flags += [f"--coordinator_address={address}", f"--process_count={count}"]
                flags += [f"--process_index={index}"]
            with output.open("w") as file:
                self.processes.append(
                    subprocess.Popen([*words, *flags], cwd=TASKS, stdout=file, stderr=file)
                )

    def finish(self, status: int = 0) -> list[str]:
        """What each process has printed, once all have ended with this exit status."""
        try:
            for process in self.processes:
                process.wait(timeout=400)
        finally:
            for process in self.processes:
                process.kill()
        outputs = [output.read_text() for output in self._outputs]
        found = [process.returncode for process in self.processes]
        assert found == [status] * len(found), (found, [output[-3000:] for output in outputs])
        return outputs


def losses(model_dir: pathlib.Path) -> dict[int, float]:
    """Loss per token of each step that counted."""
    path = model_dir / "train/metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    return {line["step"]: line["loss_per_token"] for line in found}


def wait_until_trained(job: Job, model_dir: pathlib.Path, step: int) -> None:
    """Returns when the step's metrics are written."""
    deadline = time.monotonic() + 400
    while max(losses(model_dir), default=0) < step:
        assert time.monotonic() < deadline
        if any(process.poll() is not None for process in job.processes):
            job.finish(status=-1)
        time.sleep(0.05)


def test_a_run_goes_on_with_other_processes_and_meshes_and_one_signal_stops_all(tmp_path):
    """Three steps in one process; then two on another mesh, of which one gets SIGTERM; then one
    again: each step sees the batch that the uninterrupted run saw.
    """
    alone, run = tmp_path / "alone", tmp_path / "run"
    words = [*TRAIN, f"--gin.MODEL_DIR={alone}", f"--gin.TRAIN_STEPS={STEPS}"]
    Job(tmp_path, *words, "--gin.CHECKPOINT_PERIOD=3", "--gin.KEEP_CHECKPOINTS=99").finish()
    shutil.copytree(alone / "checkpoint_3", run / "checkpoint_3")

    words = [*TRAIN, f"--gin.MODEL_DIR={run}", "--gin.NUM_PARTITIONS=2", "--gin.TRAIN_STEPS=9999"]
    job = Job(tmp_path, *words, count=2)
    wait_until_trained(job, run, 6)
    job.processes[1].send_signal(signal.SIGTERM)
    outputs = job.finish(status=75)
    (stopped,) = {int(path.name.partition("_")[2]) for path in run.glob("checkpoint_*")} - {3}
    assert f"stopped by a signal to another process after step {stopped}," in outputs[0]
    assert f"stopped by SIGTERM after step {stopped}," in outputs[1]
    files = {
        path.name.partition(".")[0] for path in (run / f"checkpoint_{stopped}/dataset").iterdir()
    }
    assert files == {"shard-00000-of-00002", "shard-00001-of-00002"}
    assert 6 <= stopped < STEPS, "too late to compare the steps behind it"

    words = [*TRAIN, f"--gin.MODEL_DIR={run}", f"--gin.TRAIN_STEPS={STEPS}"]
    Job(tmp_path, *words).finish()
    found = losses(run)
    assert list(found) == list(range(4, STEPS + 1)), "a step is missing, or was made twice"
    expected = losses(alone)
    assert found == pytest.approx({step: expected[step] for step in found}, rel=1e-3)


def test_one_signal_in_start_up_ends_all_processes(tmp_path):
    """While they compile, there is nothing to save; none of them dies of another's end."""
    run = tmp_path / "run"
    words = [*TRAIN, f"--gin.MODEL_DIR={run}", "--gin.TRAIN_STEPS=9999"]
    job = Job(tmp_path, *words, count=2)
    deadline = time.monotonic() + 400
    while "compiling" not in (tmp_path / "output_0.txt").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.processes[1].send_signal(signal.SIGHUP)
    outputs = job.finish(status=75)
    assert "stopped by a signal to another process while there was nothing" in outputs[0]
    assert "stopped by SIGHUP while there was nothing" in outputs[1]
    assert not list(run.glob("checkpoint_*"))
    assert not (run / "run_lease.json").exists()


def test_an_unhealthy_step_stops_all_processes_and_one_can_replay_it(tmp_path):
    """Exit status 3 of both; the autopsy holds the rows of both, as one process would feed them."""
    run = tmp_path / "run"
    words = [*TRAIN, *RUINED, f"--gin.MODEL_DIR={run}", "--gin.TRAIN_STEPS=9"]
    outputs = Job(tmp_path, *words, count=2).finish(status=3)
    assert all("training stopped at step 2: gradient norm is nan" in output for output in outputs)
    folder = run / "autopsy_2"
    batches = sorted(folder.glob("batch-*.npz"))
    rows = [np.load(path)["global_rows"].tolist() for path in batches]
    assert sorted(sum(rows, [])) == list(range(8))
    assert all(rows)
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint_1",
        "config.gin",
        "event.json",
        "maxima.json",
        "maxima.txt",
        *(path.name for path in batches),
        *(path.with_suffix(".jsonl").name for path in batches),
    }
    (output,) = Job(tmp_path, *T5X_LITE, "replay", str(folder)).finish()
    assert "It reproduces" in output


def test_two_processes_leave_steps_out_and_stop_early_together(tmp_path):
    """Every step but the first is left out; answers are decoded all the same, do not get better,
    and end the run on both.
    """
    run = tmp_path / "run"
    words = [
        *TRAIN,
        *RUINED,
        f"--gin.MODEL_DIR={run}",
        "--gin.TRAIN_STEPS=99",
        "--gin.ON_INSTABILITY=skip",
        "--gin.INFER_EVAL_DATASET=@infer_eval/DatasetConfig()",
        "--gin.INFER_EVAL_PERIOD=2",
        "--gin.INFER_EVAL_EXAMPLES=5",
        "--gin.MAX_DECODE_LENGTH=4",
        "--gin.EARLY_STOPPING_METRIC=toy_copy/accuracy",
        "--gin.EARLY_STOPPING_PATIENCE=1",
    ]
    output, silent = Job(tmp_path, *words, count=2).finish()
    assert "stopped early after step 4" in output
    assert "step 4" not in silent
    events = (run / "skipped_steps.jsonl").read_text().splitlines()
    assert [json.loads(line)["steps"] for line in events] == [[2], [3], [4]]
    assert (run / "checkpoint_4").is_dir()
    assert losses(run).keys() == {1}
