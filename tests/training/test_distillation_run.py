"""Distillation through the ordinary commands: TinyBERT inside, interrupted, and then on a task."""

import json
import pathlib

import jax
import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import description, lookup, pretrained
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

pytestmark = pytest.mark.usefixtures("two_devices")

PIECES = 80
FEATURES = ("inputs", "token_types", "targets", "target_weights")
FLAGS = [
    "--gin_file=models/bert.gin",
    "--gin_file=recipes/encoder_pretrain.gin",
    "--module_import=toy_sentences",
    "--gin.MIXTURE_OR_TASK_NAME=toy_sentences",
    f"--gin.TASK_FEATURE_LENGTHS={dict.fromkeys(FEATURES, 24)}",
    f"--gin.VOCAB_SIZE={PIECES}",
    "--gin.HEADS=(@masked/HeadConfig(),)",
    "--gin.MAX_LENGTH=24",
    "--gin.MLP_DIM=32",
    "--gin.NUM_HEADS=4",
    "--gin.NUM_PARTITIONS=2",
    "--gin.BATCH_SIZE=8",
    "--gin.LEARNING_RATE=0.003",
    "--gin.WARMUP_STEPS=2",
    "--gin.DECAY_STEPS=100",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_PERIOD=4",
    "--gin.EVAL_STEPS=1",
    "--gin.CHECKPOINT_PERIOD=4",
    "--gin.LOG_PERIOD=1",
    *(f"--gin.SpecialTokens.{name}={at}" for at, name in enumerate(("padding", "unknown"))),
    "--gin.SpecialTokens.start=2",
    "--gin.SpecialTokens.end=3",
]
SIZES = {
    "teacher": ["--gin.EMBED_DIM=32", "--gin.HEAD_DIM=8", "--gin.NUM_ENCODER_LAYERS=4"],
    "student": ["--gin.EMBED_DIM=16", "--gin.HEAD_DIM=4", "--gin.NUM_ENCODER_LAYERS=2"],
}


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    """--module_import finds toy_sentences from the working directory, as users' modules are."""
    monkeypatch.chdir(pathlib.Path(__file__).parent)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary") / "wordpiece"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        words = ["vocab", "--kind=wordpiece", "--task=toy_texts", "--module_import=toy_texts"]
        assert cli.main([*words, f"--size={PIECES}", f"--output={folder}"]) == 0
    return folder


def train(model_dir, vocabulary, size, steps, *more):
    words = [*FLAGS, *SIZES[size], f"--gin.VOCABULARY={vocabulary}", f"--gin.MODEL_DIR={model_dir}"]
    return cli.main(["train", *words, f"--gin.TRAIN_STEPS={steps}", *more])


def losses(model_dir):
    lines = (model_dir / "train" / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def stored(model_dir):
    """All parameters of a run, its projections too."""
    checkpoint = lookup.find(model_dir)
    partitioner = make_partitioner(PartitioningConfig())
    model = description.model_of(checkpoint)
    return jax.device_get(pretrained.load_parameters(checkpoint, model, partitioner)[0])


@pytest.mark.slow
def test_an_interrupted_student_ends_where_an_uninterrupted_one_does(vocabulary, tmp_path):
    """INV-10, on a mesh, with dropout; what it has learned is there without its teacher."""
    assert train(tmp_path / "teacher", vocabulary, "teacher", 4) == 0
    taught = [
        "--gin_file=compression/tinybert_intermediate.gin",
        f"--gin.TEACHER_PATH={tmp_path / 'teacher'}",
        "--gin.TEACHER_WIDTH=32",
    ]
    for name, ends in (("whole", (8,)), ("parts", (4, 8))):
        for steps in ends:
            assert train(tmp_path / name, vocabulary, "student", steps, *taught) == 0
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    found = losses(tmp_path / "whole")
    assert len(set(found.values())) == 8 and found[8] < found[1]
    parts, whole = (stored(tmp_path / name) for name in ("parts", "whole"))
    assert whole["projections"]["states"].shape == (16, 32)
    jax.tree.map(np.testing.assert_array_equal, parts, whole)
    (tmp_path / "teacher").rename(tmp_path / "away")
    model = t5x_lite.load(str(tmp_path / "whole"))
    assert model.encode(["kaka lomi"]).shape == (1, 16)
