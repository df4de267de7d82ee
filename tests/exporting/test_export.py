"""A directory for others is whole or not there, and what cannot be written is said in one line."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import huggingface
from t5x_lite.errors import UserError
from t5x_lite.exporting import export as exporting
from t5x_lite.exporting.config import ExportConfig, Format
from t5x_lite.finetuning.lora import merge
from t5x_lite.model.config import LoraConfig
from t5x_lite.testing import tiny_model

BYTES = 384


@pytest.fixture(scope="module")
def byt5(tmp_path_factory, draw):
    """A Hugging Face directory of a byte model."""
    folder, model = tmp_path_factory.mktemp("byt5"), tiny_model(BYTES)
    huggingface.save(folder, model, draw(model))
    values = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    return folder


def words(source, output, format="huggingface"):
    return ["export", str(source), f"--format={format}", f"--output={output}"]


def test_huggingface_is_what_was_there(byt5, tmp_path):
    """To the last bit, and the vocabulary with it; an empty folder may be there already."""
    (tmp_path / "out").mkdir()
    assert cli.main(words(byt5, tmp_path / "out")) == 0
    ours, theirs = huggingface.load(byt5), huggingface.load(tmp_path / "out")
    assert ours[0] == theirs[0]
    np.testing.assert_array_equal(
        ours[1]["decoder"]["layers"]["mlp"]["wo"]["kernel"],
        theirs[1]["decoder"]["layers"]["mlp"]["wo"]["kernel"],
    )
    text = ["bread and butter"]
    found = [t5x_lite.load(path).score(text, text) for path in (byt5, tmp_path / "out")]
    assert found[0] == found[1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is left beside it"


def test_lora_is_put_into_the_kernels(source_of, draw, tmp_path, monkeypatch):
    """What is written is the merged model."""
    source = source_of()
    model = source.model.with_blocks(lora=LoraConfig(rank=2))
    plain, merged = merge(model, draw(model))
    found = dataclasses.replace(source, model=plain, parameters=merged)
    monkeypatch.setattr(exporting.source, "read", lambda path, vocabulary: found)
    config = ExportConfig(path="-", output=str(tmp_path / "out"), format=Format.HUGGINGFACE)
    exporting.export(config)
    assert huggingface.load(tmp_path / "out")[0].decoder.block.lora is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--format=onnx"], "invalid choice: 'onnx' .*huggingface.*stablehlo.*ctranslate2"),
        (["--platforms=cpu,gpu"], "platforms='cpu,gpu': needed are some of cpu, tpu, cuda, rocm"),
        (["--strategy=greedy", "--num_decodes=2"], "num_decodes=2.*at most 1"),
        (["--output=gs://bucket/out"], "needed is a folder of this machine"),
        (["--inputs_length=0"], "needed is a number from 1"),
    ],
)
def test_a_mistake_is_one_line(byt5, tmp_path, capsys, change, message):
    """Before anything is read, and nothing is there behind it."""
    assert cli.main([*words(byt5, tmp_path / "out"), *change]) == 2
    said = capsys.readouterr().err
    assert said.startswith("t5x_lite: error: ") and said.count("\n") == 1
    assert re.search(message, said), said
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(byt5, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert cli.main(words(byt5, tmp_path)) == 2
    assert "is there already and not empty; nothing is overwritten" in capsys.readouterr().err
    assert cli.main(words(tmp_path / "absent", tmp_path / "out")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_model_that_a_format_does_not_know_leaves_nothing(source_of, tmp_path, monkeypatch):
    """Also what was begun is gone."""
    source = source_of()
    model = dataclasses.replace(source.model, prompt_length=2)
    source = dataclasses.replace(source, model=model)
    monkeypatch.setattr(exporting.source, "read", lambda path, vocabulary: source)
    for format in (Format.HUGGINGFACE, Format.STABLEHLO):
        config = ExportConfig(path="-", output=str(tmp_path / "out"), format=format)
        with pytest.raises(UserError, match="prompt_length=2"):
            exporting.export(config)
    assert not list(tmp_path.iterdir())


def test_without_its_converter_ctranslate2_names_the_way_to_it(byt5, tmp_path):
    """And TensorFlow is loaded by no format."""
    program = f"""
import sys
sys.modules["torch"] = None
from t5x_lite import cli
assert cli.main({words(byt5, tmp_path / "out", "ctranslate2")!r}) == 2
assert cli.main({words(byt5, tmp_path / "hlo", "stablehlo")!r} + ["--platforms=cpu"]) == 0
heavy = {{"tensorflow", "seqio", "tensorflow_datasets", "tensorflow_text"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install ctranslate2 torch transformers" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hlo"]
