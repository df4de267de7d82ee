"""Which settings go together, and how they read."""

import pytest

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import (
    BeamConfig,
    ConditionalBeamConfig,
    SampleConfig,
    strategy_of,
)
from t5x_lite.features.config import Attribute

NOT_EMPTY = ConditionalBeamConfig(attribute=Attribute.NOT_EMPTY)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_decode_length": 0}, "max_decode_length=0: needed is at least 1"),
        ({"num_decodes": 0}, "num_decodes=0: needed is at least 1"),
        ({"num_decodes": 2}, "'greedy' gives at most 1.*decoding/sample.gin, decoding/beam4.gin"),
        ({"strategy": BeamConfig(), "num_decodes": 5}, "'beam' gives at most 4"),
        (
            {"strategy": NOT_EMPTY, "max_decode_length": 1},
            "attribute='not_empty' and max_decode_length=1: needed are 2 tokens at least",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DecodingConfig(**settings)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sample", {"temperature": 0.0}, "temperature=0.0: needed is more than 0"),
        ("sample", {"top_k": -1, "top_p": 0.0}, "top_k=-1.*top_p=0.0: needed is more than 0"),
        ("beam", {"alpha": -0.1}, "alpha=-0.1"),
        ("beam", {"beam_size": 2.5}, "beam_size=2.5: needed is a whole number\\."),
        ("beam", {"alpha": "0.6"}, "alpha='0.6': needed is a number\\."),
        ("exact", {"max_nodes": 0}, "max_nodes=0: needed is at least 1"),
        ("nucleus", {}, "'nucleus': needed is one of greedy, sample, beam, exact"),
        ("greedy", {"beam_size": 4}, "are: none; beam_size is a setting of strategy='beam'"),
        ("exact", {"width": 4}, "whose settings are: max_nodes\\."),
    ],
)
def test_a_strategy_has_its_own_settings(name, settings, message):
    """Those of another are no longer passed over in silence."""
    with pytest.raises(ValueError, match="(?s)" + message):
        strategy_of(name, **settings)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "greedy, max_decode_length=128, num_decodes=1"),
        (
            {"strategy": BeamConfig(), "num_decodes": 4},
            "beam search, beam_size=4, alpha=0.6, max_decode_length=128, num_decodes=4",
        ),
        (
            {"strategy": NOT_EMPTY},
            "conditional beam search, attribute=not_empty, beam_size=4, max_decode_length=128, "
            "num_decodes=1",
        ),
        (
            {"strategy": SampleConfig(top_p=0.9), "forbid_sentinels": True},
            "sampling, temperature=1.0, top_k=all, top_p=0.9, seed=0, max_decode_length=128, "
            "num_decodes=1, sentinels forbidden",
        ),
    ],
)
def test_the_effective_settings_in_one_line(settings, line):
    """Only what has an effect."""
    assert DecodingConfig(**settings).describe() == line
