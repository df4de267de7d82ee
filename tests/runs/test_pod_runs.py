"""gin/runs/pods: every file resolves as its header says to launch it, for the slice in its name."""

import itertools
import pathlib
import re
import shlex

import pytest

from t5x_lite import config as gin_config
from t5x_lite.planning import topologies
from t5x_lite.training.config import TrainConfig

GIN = pathlib.Path(gin_config.packaged_root())
RUNS = sorted(path.stem for path in GIN.glob("runs/pods/*_v5e_*.gin"))


def header(name: str) -> str:
    """The comments of a file before its first binding, joined."""
    lines = (GIN / f"runs/pods/{name}.gin").read_text().splitlines()
    comments = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return "\n".join(line.removeprefix("#") for line in comments)


def slice_of(name: str) -> topologies.Topology:
    return topologies.find(name.partition("_")[2].replace("_", "-"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_a_whole_job_for_the_slice_in_its_name(name):
    command = header(name).partition("Command:\n")[2].replace("\\\n", "").replace("...", "x")
    words = shlex.split(command)
    assert words[0] == "launch/tpu_vm/train.sh"
    files = [word.removeprefix("--gin_file=") for word in words if word.startswith("--gin_file")]
    given = [("--gin", word[6:]) for word in words if word.startswith("--gin.")]
    job = gin_config.resolve(TrainConfig, files, overrides=given).config
    assert files == [f"runs/pods/{name}.gin"]
    assert job.train_steps * job.dataset.batch_size == 10**6 * 2048
    data = slice_of(name).num_devices // job.partitioning.num_partitions
    assert job.dataset.batch_size % (data * job.num_microbatches) == 0


@pytest.mark.parametrize("name", RUNS)
def test_a_header_has_the_plan_of_its_run(name):
    """As the command prints it; what has to do with time is called an estimate."""
    text = " ".join(header(name).split())
    assert f"--topology={slice_of(name).name}" in text
    peak, there = map(float, re.search(r"peak ([\d.]+) GB of ([\d.]+)", text).groups())
    assert peak < there == pytest.approx(slice_of(name).chip.hbm_bytes / 1e9, abs=0.05)
    assert re.search(r"[\d.]+ TFLOP; estimates: [\d.]+ s, MFU of at most \d+ %, [\d.]+ days", text)
