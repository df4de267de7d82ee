"""`t5x_lite train` as two processes: one run, not two, and equal to one process with all."""

import json
import pathlib
import socket
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.multiprocess, pytest.mark.slow]

TASKS = pathlib.Path(__file__).resolve().parents[1] / "training"
COMMAND = [
    sys.executable,
    "-m",
    "t5x_lite",
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_both",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}",
    "--gin.VOCAB_SIZE=384",
    "--gin.BATCH_SIZE=8",
    "--gin.NUM_DATA_SHARDS=2",
    "--gin.TRAIN_STEPS=6",
    "--gin.LOG_PERIOD=1",
    "--gin.EVAL_STEPS=2",
    "--gin.NUM_PARTITIONS=2",
]


EVALUATE = [
    *COMMAND[:3],
    "eval",
    *COMMAND[4:5],
    "--gin_file=recipes/eval.gin",
    *COMMAND[6:8],
    "--gin.VOCAB_SIZE=384",
    "--gin.BATCH_SIZE=8",
    "--gin.SPLIT=validation",
    "--gin.MAX_DECODE_LENGTH=8",
]


def start(*words: str) -> subprocess.Popen:
    """One process of a job."""
    return subprocess.Popen(
        words,
        cwd=TASKS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def losses(model_dir: pathlib.Path) -> list[float]:
    """Loss per token of each step."""
    lines = (model_dir / "train/metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss_per_token"] for line in lines]


def together(*words: str, second: str = "", status: int = 0) -> list[str]:
    """What two processes of one job print, once both have ended with this status; the second may
    have another word.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = ["--cpu_devices=2", f"--coordinator_address={address}", "--process_count=2"]
    others = [[], [second] if second else []]
    processes = [start(*words, *flags, f"--process_index={i}", *others[i]) for i in range(2)]
    outputs = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [status] * 2, "\n".join(outputs)
    return outputs


def alone(*words: str) -> None:
    """The same job in one process with as many devices."""
    process = start(*words, "--cpu_devices=4")
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 0, output


def test_two_processes_train_and_evaluate_one_model(tmp_path):
    """Half of the devices and half of the rows each; losses agree to the order of sums, and every
    example gets the answer that one process gives it.
    """
    outputs = together(*COMMAND, f"--gin.MODEL_DIR={tmp_path / 'two'}")
    alone(*COMMAND, f"--gin.MODEL_DIR={tmp_path / 'one'}")
    # Updates amplify round-off a little: Adafactor's first step divides by its own gradient.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    assert (tmp_path / "two/checkpoint_6").is_dir()
    assert "step 6" not in outputs[1], "the second process should leave the talking to the first"
    checkpoint = f"--gin.CHECKPOINT_PATH={tmp_path / 'two'}"
    together(*EVALUATE, checkpoint, f"--gin.EVAL_OUTPUT_DIR={tmp_path / 'two'}")
    alone(*EVALUATE, checkpoint, f"--gin.EVAL_OUTPUT_DIR={tmp_path / 'one'}")
    answers = [
        (tmp_path / run / "inference_eval/toy_double-000006.jsonl").read_text()
        for run in ("one", "two")
    ]
    assert answers[0] == answers[1]


def test_processes_with_other_settings_do_not_start(tmp_path):
    """They trained to the end, with two learning rates, and exited with 0."""
    run = f"--gin.MODEL_DIR={tmp_path / 'run'}"
    for output in together(*COMMAND, run, second="--gin.LEARNING_RATE=0.5", status=2):
        assert "process 1: LEARNING_RATE = 0.5 (process 0: 1.0)" in output
    assert not (tmp_path / "run").exists()
