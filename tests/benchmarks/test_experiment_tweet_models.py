"""What the comparison on tweets begins with: a run's student, and directories that were given."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from benchmarks.experiments import runs
from benchmarks.experiments.given import Given
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.tweets import directories, finetuning, influences, models, students
from t5x_lite import cli, config
from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.description import differences
from t5x_lite.features.layouts import Layout
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

TINY = {
    "VOCAB_SIZE": 12,
    "EMBED_DIM": 8,
    "MLP_DIM": 16,
    "NUM_HEADS": 2,
    "HEAD_DIM": 4,
    "NUM_ENCODER_LAYERS": 3,
}
TINY_ENCODER = TINY | {
    "MAX_LENGTH": 16,
    "SpecialTokens.padding": 0,
    "SpecialTokens.unknown": 1,
    "SpecialTokens.start": 2,
    "SpecialTokens.end": 3,
}
TINY_TEXT = TINY | {"NUM_DECODER_LAYERS": 2}


def model_of(model_file, settings):
    """What flags make of a file."""
    overrides = [("--gin", f"{name}={value!r}") for name, value in settings.items()]
    return config.resolve(ModelConfig, [model_file], overrides=overrides).config


@functools.cache
def teacher():
    model = model_of("models/bert.gin", TINY_ENCODER)
    return model, transformer.init_parameters(model, jax.random.key(0))


def written(folder, model):
    """A directory of Hugging Face with random parameters."""
    huggingface.save(folder, model, transformer.init_parameters(model, jax.random.key(1)))
    return folder


def test_a_student_is_written_once_and_is_the_model_that_trains(tmp_path, monkeypatch):
    """Read back it is the half of its teacher, of the family that has no types."""
    model, parameters = teacher()
    lab = Lab(tmp_path)
    run = models.start(lab, models.BERT, 0).run
    folder = lab.folder(run)
    folder.mkdir(parents=True)
    monkeypatch.setattr(lab, "train", lambda run: folder)
    found = type("Found", (), {"path": folder, "model": model, "vocabulary": None})
    monkeypatch.setattr("t5x_lite.checkpoints.pretrained.describe", lambda path: found)
    monkeypatch.setattr(
        "t5x_lite.checkpoints.pretrained.load_parameters", lambda *words: (parameters, 7)
    )
    monkeypatch.setattr("t5x_lite.text.tokenizer.load_tokenizer", lambda path: None)
    place = students.directory(lab, run)
    stored, read = huggingface.load(place)
    np.testing.assert_array_equal(
        read["encoder"]["layers"]["mlp"]["wi"]["kernel"],
        np.asarray(parameters["encoder"]["layers"]["mlp"]["wi"]["kernel"])[::2],
    )
    ours = model_of("models/distilbert.gin", TINY_ENCODER | {"NUM_ENCODER_LAYERS": 2})
    assert not differences(ours, stored)
    before = (place / "config.json").stat().st_mtime_ns
    assert students.directory(lab, run) == place
    assert (place / "config.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        (models.BERT, TINY_ENCODER),
        (models.ROBERTA, TINY_ENCODER),
        (models.DISTILBERT, TINY_ENCODER),
        (models.XLNET, {n: v for n, v in TINY_ENCODER.items() if n != "MAX_LENGTH"}),
        (models.T5, TINY_TEXT),
        (models.T5, TINY_TEXT | {"ModelConfig.logits_via_embedding": False}),
    ],
)
def test_a_given_directory_is_the_model_that_trains(key, settings, tmp_path, capsys):
    """Its sizes make the model that it holds, whatever heads that has."""
    row = models.ROWS[key]
    model_file = row.model_file.replace("/mini", "/tiny") if key == models.T5 else row.model_file
    if key == models.T5 and "ModelConfig.logits_via_embedding" in settings:
        model_file, settings = "models/t5_1_1/tiny.gin", TINY_TEXT
    folder = written(tmp_path / "given", model_of(model_file, settings))
    lab = Lab(tmp_path / "lab", given=Given(tmp_path, {key: folder}))
    start = models.start(lab, key, 0)
    stored = huggingface.read_config(folder)
    ours = model_of(row.model_file, start.sizes)
    heads = {"heads": stored.heads, "pooler": stored.pooler}
    assert not differences(dataclasses.replace(ours, **heads), stored)
    run = finetuning.finetuning(lab, key, start, "usual", 0, finetuning.Factors())
    assert run.directory(lab) == folder and run.vocabulary is None
    words = runs.train_words(run, model_dir="m", vocabulary=None, parent_dir=str(folder))
    assert cli.main([*words, "--dry_run"]) == 0, capsys.readouterr().err


def test_a_given_directory_has_no_pretraining_to_vary(tmp_path, monkeypatch):
    """And the only rows are those that were given."""
    folder = written(tmp_path / "given", teacher()[0])
    lab = Lab(tmp_path / "lab", given=Given(tmp_path, {models.BERT: folder}))
    monkeypatch.setattr("benchmarks.experiments.tweets.data.labelled", lambda *words: (["a"], [0]))
    monkeypatch.setattr("benchmarks.experiments.tweets.data.balanced", lambda lab: (1.0, 1.0))
    assert [*models.rows(lab)] == [models.BERT]
    assert influences.FEW not in influences.factors(lab, models.BERT)


def test_a_model_of_another_layout_is_refused(tmp_path):
    folder = written(tmp_path / "given", teacher()[0])
    with pytest.raises(ValueError, match="layout encoder; its row needs one of encoder_decoder"):
        directories.sizes(folder, Layout.ENCODER_DECODER)
