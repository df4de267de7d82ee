"""Our packing against SeqIO's, which packs by a loop."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.data import packing
from t5x_lite.objectives import segments


def packed(dataset, lengths):
    """Rows by SeqIO's names, of examples that are trimmed."""

    def pack(group):
        group = {name: group[name][:, :length] for name, length in lengths.items()}
        found = packing.pack(group, lengths)
        suffixes = ("", "_segment_ids", "_positions")
        return {n + s: feature for n in found for s, feature in zip(suffixes, found[n])}

    groups = segments.batches(dataset, max(lengths.values()))
    return list(groups.map(pack).unbatch().as_numpy_iterator())


@pytest.mark.parametrize(
    "lengths, longest",
    [
        ({"inputs": 16, "targets": 9}, 6),
        ({"inputs": 16, "targets": 9}, 40),  # most fill a row, and are trimmed to it
        ({"inputs": 9, "targets": 16}, 1),
        ({"targets": 12}, 5),
    ],
)
def test_rows_are_those_of_seqio(lengths, longest):
    """Several groups, the last of them short; examples that fit in one feature only."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, longest + 1, (70, 2))
    values = [
        {name: generator.integers(2, 99, n) for name, n in zip(("inputs", "targets"), size)}
        for size in sizes
    ]
    signature = {name: tf.TensorSpec([None], tf.int32) for name in ("inputs", "targets")}
    dataset = tf.data.Dataset.from_generator(lambda: iter(values), output_signature=signature)
    found = packed(dataset, lengths)
    expected = list(seqio.utils.trim_and_pack_dataset(dataset, lengths).as_numpy_iterator())
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_examples_of_one_known_length_are_packed_too():
    """tf.data batches a feature densely once it knows that all examples are equally long."""
    values = {"inputs": tf.reshape(tf.range(2, 37), [7, 5]), "targets": tf.ones([7, 2], tf.int32)}
    dataset = tf.data.Dataset.from_tensor_slices(values)
    lengths = {"inputs": 12, "targets": 9}
    found = packed(dataset, lengths)
    expected = list(seqio.utils.trim_and_pack_dataset(dataset, lengths).as_numpy_iterator())
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected):
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])
