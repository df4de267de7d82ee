"""A config that went through JSON is the same config; one that cannot be read says where."""

import dataclasses
import enum
import json

import hypothesis
import hypothesis.strategies as st
import pytest

from t5x_lite.checkpoints import codec
from t5x_lite.config import packaged_root, resolve
from t5x_lite.config.errors import ConfigError
from t5x_lite.model.choices import Remat
from t5x_lite.model.config import ModelConfig
from t5x_lite.testing import tiny_model


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    number: int
    names: tuple[str, ...] = ()
    pair: tuple[int, float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner
    maybe: Inner | None = None
    colour: Colour = Colour.RED
    lengths: dict[str, int] = dataclasses.field(default_factory=dict)
    value: float | int | None = None
    flag: bool = False


inners = st.builds(
    Inner,
    number=st.integers(),
    names=st.lists(st.text()).map(tuple),
    pair=st.none() | st.tuples(st.integers(), st.floats(allow_nan=False)),
)


@hypothesis.given(
    st.builds(
        Outer,
        inner=inners,
        maybe=st.none() | inners,
        colour=st.sampled_from(Colour),
        lengths=st.dictionaries(st.text(), st.integers()),
        value=st.none() | st.integers() | st.floats(allow_nan=False),
        flag=st.booleans(),
    )
)
def test_through_json_and_back(value):
    """Types too: 1, 1.0 and True are three values."""
    back = codec.from_json(Outer, json.loads(json.dumps(codec.to_json(value))))
    assert back == value
    assert repr(back) == repr(value)


def test_every_model_that_comes_with_t5x_lite():
    """What is trained from our files can be described by its checkpoint."""
    count = 0
    for path in (packaged_root() / "models").glob("*/*.gin"):
        try:
            model = resolve(ModelConfig, [str(path)]).config
        except ConfigError:
            continue
        assert codec.from_json(ModelConfig, json.loads(json.dumps(codec.to_json(model)))) == model
        count += 1
    assert count > 25


def change(**changes):
    values = codec.to_json(tiny_model(vocab_size=8))
    return values | changes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (change(embed_dimm=3), "ModelConfig has an unknown field 'embed_dimm'.* is embed_dim"),
        (change(embed_dim="3"), "ModelConfig.embed_dim is '3'"),
        (change(embed_dim=True), "ModelConfig.embed_dim is True"),
        (change(compute={"remat": "som"}), "ModelConfig.compute.remat is 'som'.*'minimal'"),
        (change(init=None), "ModelConfig.init is None; needed is a mapping"),
        ({"embed_dim": 3}, "ModelConfig lacks the field 'vocab_size'"),
        ([], "needed is a mapping"),
    ],
)
def test_what_cannot_be_read_says_where(values, message):
    with pytest.raises(ValueError, match=message):
        codec.from_json(ModelConfig, values)


def test_a_new_field_takes_its_default():
    """Checkpoints outlive the addition of a field with a default."""
    values = change()
    del values["compute"]["remat"]
    assert codec.from_json(ModelConfig, values).compute.remat is Remat.NONE
