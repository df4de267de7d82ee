"""A whole run in a bucket: trained, killed, resumed, evaluated, asked, reported, inspected.

The bucket is bucket.py's on the loopback; gcsfs reads and writes it for us, TensorStore by itself.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

import pytest
from etils import epath

from t5x_lite import json_lines, storage
from t5x_lite.checkpoints import folders

pytest.importorskip("gcsfs", reason="pip install 't5x_lite[gcs]' (make gcs)")

HERE = pathlib.Path(__file__).parent
RUN = "gs://bucket/run"
TRAIN = [
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_copy",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}",
    "--gin.VOCAB_SIZE=384",
    "--gin.BATCH_SIZE=8",
    "--gin.EVAL_STEPS=1",
    "--gin.EVAL_PERIOD=4",
    "--gin.LOG_PERIOD=1",
    "--gin.CHECKPOINT_PERIOD=4",
    "--gin.KEEP_CHECKPOINTS=2",
    f"--gin.MODEL_DIR={RUN}",
]


def start(*commands: list[str], environment: dict[str, str]) -> subprocess.Popen:
    """Runs them in one child, one after another; what they print is its stdout."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "commands.py"), json.dumps(commands)],
        cwd=HERE.parent / "training",
        env=environment | dict(os.environ) | {"XLA_FLAGS": "", "JAX_NUM_CPU_DEVICES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def losses(name: str = "train") -> dict[int, float]:
    """What the log holds now."""
    path = epath.Path(RUN) / name / "metrics.jsonl"
    found = json_lines.read_lines(path) if storage.exists(path) else []
    return {line["step"]: line["loss_per_token"] for line in found}


def wait_for(condition, child) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert child.poll() is None, child.stdout.read()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_in_a_bucket(server, users_shell):
    """Killed behind its first checkpoint, it goes on, and every command reads what it wrote."""
    first = start([*TRAIN, "--gin.TRAIN_STEPS=100000"], environment=users_shell)
    run = epath.Path(RUN)
    wait_for(lambda: folders.steps(run) and max(losses()) > folders.steps(run)[-1], first)
    first.kill()
    first.communicate()
    begun, newest = losses(), folders.steps(run)[-1]
    assert begun.keys() >= set(range(1, newest + 1)), "lines before the checkpoint are missing"
    last = newest + 6
    of_task = ["--module_import=toy_tasks", f"--gin.CHECKPOINT_PATH={RUN}"]
    child = start(
        [*TRAIN, f"--gin.TRAIN_STEPS={last}"],
        ["eval", *of_task],
        ["infer", *of_task],
        ["report", RUN],
        ["inspect", RUN],
        environment=users_shell,
    )
    output = child.communicate()[0]
    assert child.returncode == 0, output[-3000:]
    assert f"continues from {RUN}/checkpoint_" in output
    assert "Traceback" not in output
    assert set(losses()) == set(range(1, last + 1))
    assert {step: begun[step] for step in range(1, newest + 1)} == {
        step: losses()[step] for step in range(1, newest + 1)
    }
    assert [path.name for path in storage.listed(run / "train") if "metrics" in path.name] == [
        "metrics.jsonl"
    ]
    assert len([path for path in storage.listed(run / "train") if "events" in path.name]) >= 2
    assert folders.steps(run)[-1] == last
    assert len(folders.steps(run)) == 2, "older ones are let go"
    scores = json_lines.read_lines(run / "inference_eval" / "toy_copy-metrics.jsonl")
    assert [line["step"] for line in scores] == [last]
    answers = json_lines.read_lines(run / "toy_copy-predict.jsonl-00000-of-00001")
    assert len(answers) == 29
    assert f"step {last:,}, saved" in output


def test_a_damaged_checkpoint_is_moved_aside_in_a_bucket(server):
    """As on a disk: found, said, kept under another name, and the one before it is used."""
    import jax.numpy as jnp

    from t5x_lite.checkpoints import manager
    from t5x_lite.checkpoints.config import SaveCheckpointConfig

    checkpoints = manager.Checkpoints(RUN, SaveCheckpointConfig())
    for step in (1, 2):
        state = {"step": jnp.int32(step), "parameters": {"kernel": jnp.arange(9.0) * step}}
        checkpoints.save(step, state, manager.Description(""), {"dataset": {"shard_0": b"here"}})
    checkpoints.close()
    (epath.Path(RUN) / "checkpoint_2" / "dataset" / "shard_0").write_bytes(b"her")
    assert manager.newest(RUN, sums=True, move_aside=True).name == "checkpoint_1"
    assert {path.name for path in storage.listed(epath.Path(RUN))} == {
        "checkpoint_1",
        "checkpoint_2.damaged",
    }


def test_a_bucket_that_fails_is_no_empty_one(server, monkeypatch, capsys):
    """A run does not begin afresh beside its checkpoints, and the terminal says why it waits."""
    import gcsfs.retry

    monkeypatch.setattr(storage, "_SLOW_SECONDS", 0.1)
    monkeypatch.setattr(storage, "_last_line", -1e9)
    # Between its attempts, 30 s together.
    monkeypatch.setattr(gcsfs.retry, "min", lambda *unused: 0.1, raising=False)
    (epath.Path(RUN) / "checkpoint_1" / "manifest.json").write_text("{}")
    urllib.request.urlopen(f"{server}/_failing?on=1").close()
    with pytest.raises(OSError, match="the server has an error"):
        folders.steps(epath.Path(RUN))
    assert f"no answer about {RUN}" in capsys.readouterr().out
    urllib.request.urlopen(f"{server}/_failing?on=0").close()
    assert folders.steps(epath.Path(RUN)) == [1]
