"""References of Hugging Face, changed."""

import json
import pathlib

import pytest
import safetensors.numpy


@pytest.fixture(scope="session")
def edit():
    """A copy of a reference with other tensors or fields of config.json (None removes one)."""

    def make(source: pathlib.Path, target: pathlib.Path, *, change=lambda tensors: None, **fields):
        target.mkdir(exist_ok=True)
        values = json.loads((source / "config.json").read_text()) | fields
        values = {name: value for name, value in values.items() if value is not None}
        (target / "config.json").write_text(json.dumps(values))
        tensors = safetensors.numpy.load_file(source / "model.safetensors")
        change(tensors)
        safetensors.numpy.save_file(tensors, target / "model.safetensors")
        return target

    return make
