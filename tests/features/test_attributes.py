"""What a sequence has, wherever it stands."""

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.attributes import REPEATED, holds
from t5x_lite.features.config import Attribute

END = 1
SEQUENCES = {
    "empty": [END],
    "cut": [5, 6, 7],
    "ends": [5, 6, END],
    "repeats": [5, 6, 5, 6, 5, 6, 5, 6, END],
    "one token": [7, 7, 7, 7, 7, END],
    "short run": [7, 7, 7, 7, END],
    "apart": [2, 3, 4, 5, 9, 2, 3, 4, 5],
    "nearly": [2, 3, 4, 5, 9, 2, 3, 4, 6, END],
}
EXPECTED = {
    Attribute.ANYTHING: set(SEQUENCES),
    Attribute.NOT_EMPTY: set(SEQUENCES) - {"empty"},
    Attribute.NO_REPETITION: set(SEQUENCES) - {"repeats", "one token", "apart"},
    Attribute.COMPLETE: set(SEQUENCES) - {"cut", "apart"},
}


def by_hand(tokens):
    runs = [tuple(tokens[n : n + REPEATED]) for n in range(len(tokens) - REPEATED + 1)]
    return {
        Attribute.ANYTHING: True,
        Attribute.NOT_EMPTY: any(token != END for token in tokens),
        Attribute.NO_REPETITION: len(set(runs)) == len(runs),
        Attribute.COMPLETE: END in tokens,
    }


@pytest.mark.parametrize("attribute", Attribute)
def test_each_sequence_of_a_row_by_itself(attribute):
    """Alone, and packed with its neighbours: no run goes over a border."""
    names = list(SEQUENCES)
    packed = [token for name in names for token in SEQUENCES[name]]
    segments = [n + 1 for n, name in enumerate(names) for _ in SEQUENCES[name]]
    row, numbers = np.array([[*packed, 0, 0]]), np.array([[*segments, 0, 0]])
    found = np.asarray(holds(attribute, jnp.asarray(row), jnp.asarray(numbers), end=END))[0]
    assert not found[-2:].any()
    for number, name in enumerate(names):
        own = found[numbers[0] == number + 1]
        assert own.all() == own.any() == (name in EXPECTED[attribute]), name


@pytest.mark.parametrize("attribute", Attribute)
def test_random_sequences_equal_the_definition(attribute):
    """Of few tokens, so that runs do stand twice."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 4, (200, 9))
    lengths = rng.integers(1, 10, 200)
    segments = (np.arange(9)[None] < lengths[:, None]).astype(np.int32)
    found = np.asarray(holds(attribute, jnp.asarray(tokens), jnp.asarray(segments), end=END))
    for row, length, own in zip(tokens.tolist(), lengths, found, strict=True):
        assert (own[:length] == by_hand(row[:length])[attribute]).all()
