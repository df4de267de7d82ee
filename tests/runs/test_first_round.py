"""What users made with commit 8dbb05f still means the same: a job, a run, a Hugging Face directory.

tests/references/first_round/first_round.tar.xz holds them as that commit wrote them: job.gin, the
run that stopped at step 3 of 6 with the positions of its data, the same model for transformers, and
what that commit made of them later.
"""

import importlib.util
import json
import pathlib
import tarfile

import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli

FOLDER = pathlib.Path(__file__).parents[1] / "references" / "first_round"


def _module(path: pathlib.Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _module(FOLDER / "losses.py")
LOSSES = json.loads((FOLDER / "losses.json").read_text())


@pytest.fixture
def kept(tmp_path) -> pathlib.Path:
    """The files of then, as a user finds them on disk."""
    with tarfile.open(FOLDER / "first_round.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def expected(kept) -> dict:
    """What 8dbb05f made of them."""
    return json.loads((kept / "expected.json").read_text())


def _tail_of_the_run(kept, monkeypatch, *words) -> list[float]:
    monkeypatch.chdir(pathlib.Path(__file__).parents[1] / "training")  # beside toy_tasks
    assert cli.main(["train", "--module_import=toy_tasks", *words]) == 0
    lines = (kept / "run/train/metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["job.gin", "run/config.gin"])
def test_a_run_goes_on(kept, expected, monkeypatch, capsys, text):
    """From its user's gin file or from the one that the run wrote, where its data had come to."""
    flags = [f"--gin_file={kept / text}", f"--gin.MODEL_DIR={kept / 'run'}", "--gin.TRAIN_STEPS=6"]
    if text != "job.gin":
        flags[1:] = [f"--gin.TrainConfig.model_dir={kept / 'run'}"]
        flags.append("--gin.TrainConfig.train_steps=6")
    losses = _tail_of_the_run(kept, monkeypatch, *flags)
    np.testing.assert_allclose(losses, list(expected["losses"].values()), rtol=1e-6)
    assert "continues" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["run", "hf"])
def test_a_model_says_the_same(kept, expected, path):
    """A checkpoint and a Hugging Face directory of it give the scores and texts of then."""
    vocabulary = kept / "run/checkpoint_3/vocabulary"
    model = t5x_lite.load(kept / path, vocabulary=vocabulary, num_partitions=2)
    inputs, targets = ["toy_copy: abc", "x"], ["abc", "Ünicode"]
    for found, then in zip(model.score_tokens(inputs, targets), expected["scores"], strict=True):
        np.testing.assert_allclose(found, then, rtol=2e-6)
    assert model.generate(inputs, max_decode_length=8) == expected["texts"]


def _cases():
    for number, name in enumerate(LOSSES):
        yield pytest.param(name, marks=[pytest.mark.slow] if number % 4 else [])


@pytest.mark.parametrize("name", [*_cases()])
def test_fifty_steps_lose_as_they_did(name):
    """Every architecture and version: what changed since then changed no arithmetic.

    Tests compile with other flags than users do, whose rounding fifty steps amplify to 2e-5.
    """
    config = REFERENCE.model(*name.split("/"))
    np.testing.assert_allclose(REFERENCE.losses(config), LOSSES[name], rtol=1e-4)
