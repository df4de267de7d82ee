"""Hugging Face directories that are damaged, or meant to do harm, end in a sentence about them."""

import json
import logging
import pathlib
import pickle
import shutil
import struct

import numpy as np
import pytest
import safetensors.numpy

from t5x_lite.checkpoints import huggingface, safetensors_files
from t5x_lite.errors import UserError

REFERENCE = pathlib.Path(__file__).parents[1] / "references" / "huggingface" / "t5_v1_0"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(REFERENCE, tmp_path / "hf")
    return tmp_path / "hf"


def framed(header, content=b""):
    """A file of safetensors with this header, whatever it says."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def tensor(first, last, dtype="F32", shape=(2,)):
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


WEIGHTS = {
    "empty": (b"", "but empty"),
    "pickle": (pickle.dumps({"a": 1}), "but a pickle"),
    "torch": (b"PK\x03\x04" + bytes(60), "but a zip archive"),
    "page": (b"<html>not found</html>", "but a page of the web"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "huge header": (struct.pack("<Q", 2**62) + b"{}", "header too large"),
    "nested header": (struct.pack("<Q", 10**5) + b"[" * 10**5, "not a whole file of safetensors"),
    "overlapping": (framed({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)), "invalid offset"),
    "too short": (framed({"a": tensor(0, 8)}, bytes(4)), "not fully covered"),
    "another type": (framed({"shared.weight": tensor(0, 2, "F8_E4M3")}, bytes(2)), "too few|F8"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_kind_are_named(name, folder):
    content, message = WEIGHTS[name]
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=message):
        huggingface.load(folder)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_weights_that_were_cut_off_are_refused(share, folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="is not a whole file of safetensors"):
        huggingface.read_config(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "config.json is not JSON"),
        (b"{", "config.json is not JSON"),
        (b"[" * 100_000, "config.json is nested too deeply"),
        (b"\xff\xfe{", "config.json is text in UTF-16"),
        (b'{"a": "\xff"}', "config.json, line 1: byte 0xff is no UTF-8"),
        (b"[]", r"config.json holds \[\]; needed is a JSON object"),
        (b"null", "config.json holds None"),
    ],
)
def test_a_config_that_is_none_is_refused(content, message, folder):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        huggingface.read_config(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"d_model": "64"}, "d_model='64'; needed is a number from 1"),
        ({"d_model": 64.0}, "d_model=64.0; needed is a number from 1"),
        ({"num_heads": 0}, "num_heads=0; needed is a number from 1"),
        ({"d_kv": -8}, "d_kv=-8; needed"),
        ({"num_layers": True}, "num_layers=True; needed"),
        ({"num_layers": 10**9}, "num_layers=1000000000; needed is a number from 1 to 10,000"),
        ({"num_decoder_layers": 9000}, "too few for the 9,000 layers"),
        ({"vocab_size": 10**12}, "vocab_size=1000000000000; needed"),
        ({"relative_attention_num_buckets": "32"}, "relative_attention_num_buckets='32'; needed"),
        ({"relative_attention_max_distance": 3}, "max_distance=3 with num_buckets="),
        ({"dropout_rate": "no"}, "dropout_rate='no'; needed"),
        ({"dropout_rate": float("nan")}, "dropout_rate=nan; needed"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings='yes'; needed is true or false"),
        ({"model_type": ["t5"]}, "model_type=.*; needed is one of"),
        ({"feed_forward_proj": {"a": 1}}, "feed_forward_proj=.*; needed is one of"),
    ],
)
def test_fields_without_a_meaning_are_named(fields, message, folder):
    """A number in quotes is none."""
    values = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        huggingface.load(folder)


def test_a_version_that_is_no_number_is_an_old_one(folder):
    """The field only tells transformers 5 from those before."""
    values = json.loads((folder / "config.json").read_text()) | {"transformers_version": "x.y"}
    (folder / "config.json").write_text(json.dumps(values))
    assert huggingface.read_config(folder)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([], "needed is a JSON object"),
        ({}, "has no weight_map"),
        ({"weight_map": ["model.safetensors"]}, "has no weight_map"),
        ({"weight_map": {}}, "has no weight_map"),
        ({"weight_map": {"a": "../../secret.safetensors"}}, "needed are names of files beside it"),
        ({"weight_map": {"a": "/etc/passwd"}}, "names '/etc/passwd'; needed are names of files"),
        ({"weight_map": {"a": ".."}}, "needed are names of files beside it"),
        ({"weight_map": {"a": "a\0b"}}, "needed are names of files beside it"),
        ({"weight_map": {"a": "absent.safetensors"}}, "lacks absent.safetensors"),
    ],
)
def test_an_index_reads_nothing_but_its_neighbours(index, message, folder):
    """Else a directory from elsewhere could have any file of the machine read."""
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises((UserError, FileNotFoundError), match=message):
        huggingface.load(folder)


def changed(folder, change):
    """Writes the weights anew, changed by a function."""
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    change(tensors)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(value, folder):
    """One is enough for every answer to be nonsense, which nobody would notice."""

    def spoil(tensors):
        tensors["decoder.final_layer_norm.weight"][-1] = value

    changed(folder, spoil)
    with pytest.raises(UserError, match="decoder.final_layer_norm.weight holds NaN or infinite"):
        huggingface.load(folder)


def test_a_number_too_large_for_float32_is_no_number(folder):
    def spoil(tensors):
        tensors["shared.weight"] = tensors["shared.weight"].astype(np.float64) + 1e300

    changed(folder, spoil)
    with pytest.raises(UserError, match="shared.weight holds NaN or infinite values"):
        huggingface.load(folder)


def test_weights_of_zeros_are_told(folder, caplog):
    """Whole tensors only: a row of zeros is what an unused id may have."""

    def erase(tensors):
        tensors["encoder.final_layer_norm.weight"][:] = 0
        tensors["shared.weight"][:3] = 0

    changed(folder, erase)
    with caplog.at_level(logging.WARNING):
        huggingface.load(folder)
    assert (
        "0 throughout, as no training leaves them: encoder.final_layer_norm.weight." in caplog.text
    )


def test_a_file_that_is_fine_is_opened(folder):
    with safetensors_files.opened(folder / "model.safetensors") as file:
        assert "shared.weight" in file.keys()
