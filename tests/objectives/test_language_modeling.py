"""Prefix LM and LM: splits of a text that put together are the text."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from t5x_lite.objectives.language_modeling import language_model, prefix_lm


def test_prefix_and_rest_are_the_text(run, features):
    """Inputs are a proper beginning of a segment, targets all that follows."""
    documents = [range(3, 33), range(100, 145)]
    found = run(
        prefix_lm,
        documents,
        sequence_length={"inputs": 21, "targets": 21},
        output_features=features,
    )
    joined = [np.concatenate([e["inputs"], e["targets"]]).tolist() for e in found]
    # 20 tokens and an end token fit into 21; documents are not joined.
    expected = [d[i : i + 20] for d in documents for i in range(0, len(d), 20)]
    assert joined == [list(e) for e in expected]
    assert all(len(e["inputs"]) and len(e["targets"]) for e in found)


def test_the_split_point_is_uniform(run, features):
    """INV-11: k from 1 to N - 1 equally often; chi-squared with 8 degrees at p = 0.001."""
    found = run(
        prefix_lm,
        [range(3, 13)] * 900,
        sequence_length={"inputs": 11, "targets": 11},
        output_features=features,
    )
    counts = collections.Counter(len(e["inputs"]) for e in found)
    assert sorted(counts) == list(range(1, 10))
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 26.1


def test_a_language_model_reads_everything_in_full_windows(run):
    """Documents are joined; only the last window may be short."""
    documents = [range(3, 30), range(50, 61), range(70, 77)]
    found = run(language_model, documents, sequence_length={"targets": 10})
    assert [len(e["targets"]) for e in found] == [10, 10, 10, 10, 5]
    expected = [token for document in documents for token in document]
    assert np.concatenate([e["targets"] for e in found]).tolist() == expected


def test_without_a_window_the_error_names_the_flag(features):
    """`inspect` or a test without lengths must not fail inside TensorFlow."""
    dataset = tf.data.Dataset.from_tensors({"targets": tf.range(3, 100)})
    with pytest.raises(ValueError, match="targets, but its length is None.*TASK_FEATURE_LENGTHS"):
        language_model(dataset, None)
