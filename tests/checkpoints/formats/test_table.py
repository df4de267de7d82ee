"""One function knows the format of a directory, one that of a model."""

import dataclasses
import json

import pytest

from t5x_lite.checkpoints.formats.t5 import T5
from t5x_lite.checkpoints.formats.table import FORMATS, detect, format_of
from t5x_lite.errors import UserError
from t5x_lite.testing import tiny_model


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_every_family_is_found_by_its_model_type(format, tmp_path):
    for family in format.model_types:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
        assert detect(tmp_path) is format


def test_a_directory_without_a_config_has_no_format(tmp_path):
    """A checkpoint of ours has none, nor has a path that does not exist."""
    assert detect(tmp_path) is None
    assert detect(tmp_path / "absent") is None


@pytest.mark.parametrize("values", [{}, {"model_type": "longt5"}, {"model_type": ["t5"]}])
def test_an_unknown_model_type_is_refused_with_those_that_are_read(values, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(values))
    known = ", ".join(name for format in FORMATS for name in format.model_types)
    with pytest.raises(UserError, match=f"model_type=.*; needed is one of {known} "):
        detect(tmp_path)


def test_the_format_of_a_model_is_the_one_that_gives_it_back():
    """How it is computed is no part of a file."""
    model = dataclasses.replace(tiny_model(vocab_size=64), dropout_shared_along_length=False)
    format, values = format_of(model)
    assert format is T5
    assert values["d_model"] == model.embed_dim


@pytest.mark.parametrize("other", ["activations", "a window"])
def test_a_model_that_no_format_expresses_is_told_what_each_needs(other):
    model = tiny_model(vocab_size=64)
    if other == "activations":
        mlp = dataclasses.replace(model.decoder.block.mlp, activations=("silu",))
        model = model.with_blocks(mlp=mlp)
    else:
        model = dataclasses.replace(model, decoder=dataclasses.replace(model.decoder, window=9))
    with pytest.raises(UserError) as error:
        format_of(model)
    for format in FORMATS:
        assert f"for {format.name} {format.scope}" in str(error.value)
