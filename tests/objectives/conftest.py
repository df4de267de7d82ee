"""Segments in, (inputs, targets) out, without a task around."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.objectives import segments


@pytest.fixture(scope="session")
def vocabulary():
    """1,000 ids and 100 sentinels above them, without a file."""

    class Numbers(seqio.PassThroughVocabulary):
        """SeqIO's vocabulary of numbers, with sentinels."""

        @property
        def extra_ids(self):
            return 100

    return Numbers(size=1000, eos_id=1)


@pytest.fixture(scope="session")
def features(vocabulary):
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    return {"inputs": feature, "targets": feature}


@pytest.fixture(scope="session")
def run():
    """Applies a preprocessor to token lists under a seed and gives NumPy examples."""

    def apply(preprocessor, documents, *, seed=0, **kwargs):
        ragged = tf.ragged.constant([list(d) for d in documents], dtype=tf.int32)
        dataset = tf.data.Dataset.from_tensor_slices({"targets": ragged})
        dataset = dataset.map(lambda e: {"targets": tf.reshape(e["targets"], [-1])})
        with seqio.utils.map_seed_manager(seed):
            dataset = preprocessor(dataset, **kwargs)
        return [
            {name: np.asarray(f) for name, f in example.items()}
            for example in dataset.as_numpy_iterator()
        ]

    return apply


@pytest.fixture(scope="session")
def rows():
    """Lists of tokens as a ragged tensor."""
    return lambda lists: segments.ragged(
        tf.constant([token for row in lists for token in row], tf.int32),
        tf.constant([len(row) for row in lists], tf.int64),
    )


@pytest.fixture(scope="session")
def seed():
    """A number as the seed of stateless random functions."""
    return lambda number: tf.constant([number, 0], tf.int64)
