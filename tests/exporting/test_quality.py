"""int8 is measured on the examples that float32 is, and not written where it is too much worse."""

import json
import math

import numpy as np
import pytest
import seqio
import tensorflow as tf

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import huggingface
from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting import export as exporting
from t5x_lite.exporting import quality, stablehlo
from t5x_lite.exporting.config import ExportConfig, Format
from t5x_lite.exporting.quality import Row
from t5x_lite.metrics.bleu import bleu
from t5x_lite.model.choices import Weights
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.testing import tiny_model

pytestmark = pytest.mark.usefixtures("two_devices")

TASK = "exported_names"
BYTES = 384
PAIRS = [("bread", "Brot"), ("butter", "Butter"), ("jam", "Marmelade")]


@pytest.fixture(scope="module")
def job():
    """An evaluation of three pairs of texts, in bytes."""
    vocabulary = seqio.ByteVocabulary()
    if TASK not in seqio.TaskRegistry.names():
        inputs, targets = (list(texts) for texts in zip(*PAIRS, strict=True))
        seqio.TaskRegistry.add(
            TASK,
            source=seqio.FunctionDataSource(
                lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(
                    {"inputs": inputs, "targets": targets}
                ),
                splits=["test"],
            ),
            preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
            output_features={
                name: seqio.Feature(vocabulary, add_eos=True) for name in ("inputs", "targets")
            },
            metric_fns=[bleu],
        )
    return EvalConfig(
        checkpoint_path="runs/one",
        output_dir="-",
        decoding=DecodingConfig(max_decode_length=4),
        partitioning=PartitioningConfig(),
        dataset=DatasetConfig(
            mixture_or_task_name=TASK, task_feature_lengths=None, split="test", batch_size=8
        ),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, draw):
    """A Hugging Face directory of a byte model that was not trained."""
    folder, model = tmp_path_factory.mktemp("byt5"), tiny_model(BYTES)
    huggingface.save(folder, model, draw(model))
    values = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    return folder


def test_both_models_are_measured_on_the_same_examples(job, folder):
    """Losses are those of `score`, per token; BLEU has a bound, the loss as well."""
    found = exporting.source.read(str(folder), None)
    small = found.quantized()
    rows = quality.measure(job, (found.model, found.parameters), (small.model, small.parameters))
    assert [(row.task, row.num_examples, row.most) for row in rows] == [
        (TASK, 3, quality.MOST_NATS),
        (TASK, 3, quality.MOST_BLEU),
    ]
    inputs, targets = zip(*PAIRS, strict=True)
    for value, weights in ((rows[0].float32, None), (rows[0].int8, "int8")):
        model = t5x_lite.load(folder, weights=weights)
        expected = -np.mean(np.concatenate(model.score_tokens(inputs, targets)))
        assert value == pytest.approx(expected, rel=1e-5)
    assert rows[0].worse == rows[0].int8 - rows[0].float32 != 0.0


def row(**fields):
    values = {"float32": 2.0, "int8": 2.0, "worse": 0.0, "most": 0.01}
    return Row(task="t", name="loss", num_examples=9, **values | fields)


@pytest.mark.parametrize(
    ("worse", "most", "is_too_much"),
    [(0.01, 0.01, False), (0.0101, 0.01, True), (-9.0, 0.01, False), (9.0, None, False)],
)
def test_the_bound_is_what_int8_loses(worse, most, is_too_much):
    """Not what it wins, nor what has no bound."""
    assert row(worse=worse, most=most).is_too_much == is_too_much


def test_a_loss_that_is_no_number_is_too_much():
    assert row(worse=math.nan).is_too_much


def config(output, job, **fields):
    return ExportConfig(
        path="-", output=str(output), format=Format.CHECKPOINT, quality=job, **fields
    )


@pytest.fixture
def measured(monkeypatch, folder):
    """A number that was measured, whatever the model."""

    def make(*rows):
        monkeypatch.setattr(quality, "measure", lambda *given: list(rows))
        found = exporting.source.read(str(folder), None)
        monkeypatch.setattr(exporting.source, "read", lambda path, vocabulary: found)

    return make


def test_what_is_too_much_worse_is_not_written_unless_asked_for(measured, job, tmp_path):
    """The card says that it was."""
    measured(row(int8=2.5, worse=0.5))
    small = {"weights": Weights.INT8}
    with pytest.raises(UserError, match="loss of t is worse by 0.5000.*0.01.*--accept_gap"):
        exporting.export(config(tmp_path / "out", job, **small))
    assert not list(tmp_path.iterdir())
    exporting.export(config(tmp_path / "out", job, accept_gap=True, **small))
    page = (tmp_path / "out" / "quality.md").read_text()
    assert "| t | loss | 9 | 2.0000 | 2.5000 | +0.5000 | 0.01 |" in page
    assert "not within the bounds" in page and "`--accept_gap` asked for it" in page


def test_a_checkpoint_of_int8_is_loaded_as_it_is(
    measured, job, folder, tmp_path, monkeypatch, capsys
):
    """It says what it holds; nothing is rounded again, and Hugging Face has no place for it."""
    measured(row())
    exporting.export(config(tmp_path / "small", job, weights=Weights.INT8))
    assert "within both bounds" in (tmp_path / "small" / "quality.md").read_text()
    texts = ["bread and butter"]
    rounded, stored = t5x_lite.load(folder, weights="int8"), t5x_lite.load(tmp_path / "small")
    assert stored.engine.models.members[0].weights is Weights.INT8
    assert stored.score(texts, texts) == rounded.score(texts, texts)
    with pytest.raises(UserError, match="int8 already"):
        t5x_lite.load(tmp_path / "small", weights="int8")
    words = ["export", str(tmp_path / "small"), "--format=huggingface"]
    monkeypatch.undo()
    assert cli.main([*words, f"--output={tmp_path / 'hf'}"]) == 2
    assert "needed is 'checkpoint' or 'stablehlo'" in capsys.readouterr().err


def test_a_checkpoint_has_the_parameters_and_the_vocabulary_alone(folder, tmp_path, capsys):
    """And is a way from Hugging Face to a checkpoint."""
    words = ["export", str(folder), "--format=checkpoint", f"--output={tmp_path / 'out'}"]
    assert cli.main(words) == 0
    texts = ["jam"]
    found = [t5x_lite.load(path).score(texts, texts) for path in (folder, tmp_path / "out")]
    assert found[0] == found[1]
    assert not (tmp_path / "out" / "quality.md").exists()
    more = [*words, f"--output={tmp_path / 'other'}"]
    assert cli.main([*more, "--gin.SPLIT=test"]) == 2
    assert "needed is --weights=int8" in capsys.readouterr().err
    assert cli.main([*more, "--weights=int8", "--format=huggingface"]) == 2
    assert "needed is 'checkpoint' or 'stablehlo'" in capsys.readouterr().err


def test_an_exported_program_holds_int8(source_of, tmp_path):
    """Its parameters are as small as they are."""
    small = source_of().quantized()
    stablehlo.write(tmp_path, small, ExportConfig(path="-", output="-", format=Format.STABLEHLO))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    kernel = manifest["parameters"]["decoder/layers/mlp/wi/kernel"]
    assert kernel == {"shape": [2, 32, 64], "dtype": "int8"}
    assert manifest["model"]["weights"] == "int8"
    with pytest.raises(UserError, match="int8 already"):
        small.quantized()
