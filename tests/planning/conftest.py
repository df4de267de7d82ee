"""Small programs as HLO text, with costs that one can check by hand, and a job of a tiny model."""

import pathlib
import sys

import pytest

from t5x_lite import config
from t5x_lite.planning import hlo
from t5x_lite.planning.mesh_axes import MeshLayout
from t5x_lite.training.config import TrainConfig

# update_peaks.py is a script, whose jobs tests read.
sys.path.append(str(pathlib.Path(__file__).parent))

WORDS = (
    "--gin_file=models/t5_1_1/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--gin.VOCAB_SIZE=64",
    "--gin.EMBED_DIM=32",
    "--gin.MLP_DIM=64",
    "--gin.NUM_HEADS=4",
    "--gin.HEAD_DIM=8",
    "--gin.NUM_ENCODER_LAYERS=2",
    "--gin.NUM_DECODER_LAYERS=2",
    "--gin.MODEL_DIR=nowhere",
    "--gin.MIXTURE_OR_TASK_NAME=not_registered",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 16, 'targets': 8}",
    "--gin.MAX_DECODE_LENGTH=4",
    "--gin.BATCH_SIZE=16",
    "--gin.TRAIN_STEPS=1000",
)


@pytest.fixture(scope="session")
def words():
    """The job as words of a command line; its task does not exist."""
    return list(WORDS)


@pytest.fixture(scope="session")
def make_job():
    """(**macros) -> the same job, resolved."""

    def make(**macros):
        files = [word.partition("=")[2] for word in WORDS if word.startswith("--gin_file")]
        given = dict(
            word.removeprefix("--gin.").split("=", 1) for word in WORDS if word.startswith("--gin.")
        )
        given |= {name: str(value) for name, value in macros.items()}
        overrides = [("--gin", f"{name}={value}") for name, value in given.items()]
        return config.resolve(TrainConfig, files, overrides=overrides).config

    return make


@pytest.fixture
def mesh():
    """Eight chips: partition 2 * d + m is at data d, model m."""
    return MeshLayout.of({"data": 4, "model": 2})


@pytest.fixture(scope="session")
def collective_matmul():
    """A program as the TPU compiler writes it, cut small, on a mesh of 4 x 2.

    A weight bf16[16,32] is gathered over data while another one turns in a ring: the gather starts
    before the loop, goes on beside its products and ends after it. The loop is unrolled twice,
    which only its counter shows: it counts to 4 by 2.
    """
    path = pathlib.Path(__file__).with_name("collective_matmul.hlo")
    return hlo.parse(path.read_text())


@pytest.fixture(scope="session")
def entry():
    """Makes a module of the lines of its entry."""

    def parse(*lines, before=""):
        body = "".join(f"  {line}\n" for line in lines)
        main = f"ENTRY %main (p: f32[]) -> f32[] {{\n{body}}}\n"
        return hlo.parse(f"HloModule m, is_scheduled=true\n\n{before}\n{main}")

    return parse
