"""A user's module of about 20 lines is a task that trains and is scored."""

import importlib.util
import itertools
import pathlib

import pytest
import seqio

from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import evaluation_tasks
from t5x_lite.data.pipeline import make_batches
from t5x_lite.features.layouts import Layout, ModelFeatures


@pytest.fixture
def my_tasks(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text("red heart\nthumbs up dark\ngrinning face\n")
    (tmp_path / "test.txt").write_text("green heart\nwaving hand\n")
    monkeypatch.chdir(tmp_path)
    path = pathlib.Path(__file__).with_name("my_tasks.py")
    spec = importlib.util.spec_from_file_location("my_tasks", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    seqio.TaskRegistry.remove("reverse_words")


def test_it_makes_batches_and_scores(my_tasks, vocabulary):
    """Training reads it, evaluation gives its text back, and the metric sees both."""
    config = DatasetConfig(
        mixture_or_task_name="reverse_words",
        task_feature_lengths={"inputs": 32, "targets": 32},
        batch_size=2,
    )
    for batch in itertools.islice(make_batches(config, ModelFeatures(Layout.ENCODER_DECODER)), 3):
        assert batch["encoder_input_tokens"].shape == (2, 32)
    (task,) = evaluation_tasks("reverse_words", split="test")
    examples = task.examples(split="test", task_feature_lengths=None)
    targets = [task.target(example) for example in examples]
    assert targets == ["heart green", "hand waving"]
    assert [task.decode(example["targets"]) for example in examples] == targets
    assert task.score(targets, ["heart green", "wrong"]) == {"sequence_accuracy": 50.0}
