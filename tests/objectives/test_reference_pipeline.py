"""What T5's own pipeline made of 500 documents of C4, against ours (inputs and targets 1024)."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.objectives import lengths, rewrites, table

FIRST_SENTINEL = 32_099
_FOLDER = "c4/span_corruption_reference/span_corruption"
_RESULT = (
    "c4_span_corruption_t5_default_vocab_inputs_1024_targets_1024_add_eos_true_seed_94043"
    ".tfrecord-00000-of-00001"
)
_DOCUMENTS = "c4_tokenized_t5_default_vocab_500_examples.tfrecord-00000-of-00001"


def read(path):
    """Features of integers of each record."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    for example in map(tf.train.Example.FromString, records):
        features = example.features.feature
        yield {name: list(feature.int64_list.value) for name, feature in features.items()}


def spliced(example):
    """Raw tokens and mask of an example whose first token is not noise."""
    spans, current = {}, None
    for token in example["targets"]:
        if token > FIRST_SENTINEL - 100:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    tokens, mask = [], []
    for token in example["inputs"]:
        shown = spans.get(token, [token])
        tokens += shown
        mask += [token in spans] * len(shown)
    return tokens, mask


@pytest.fixture(scope="module")
def reference(test_data_dir):
    """Its examples, without end tokens."""
    found = list(read(test_data_dir / _FOLDER / _RESULT))
    assert len(found) > 100
    return found


@pytest.fixture(scope="module")
def vocabulary(test_data_dir):
    """T5's."""
    path = test_data_dir / "vocab" / "t5_sentencepiece.model"
    return seqio.SentencePieceVocabulary(str(path), extra_ids=100)


@pytest.mark.test_data
def test_the_same_masks_give_the_same_ids(reference, rows, seed, vocabulary):
    """Token for token, for every example of T5's."""
    tokens, masks = zip(*map(spliced, reference))
    noise = tf.constant([value for mask in masks for value in mask])
    for side, rewrite in (
        ("inputs", rewrites.noise_to_sentinels),
        ("targets", rewrites.kept_to_sentinels),
    ):
        ours = rewrite(rows(tokens), noise, vocabulary, seed(0)).to_list()
        assert ours == [example[side] for example in reference]


@pytest.mark.test_data
def test_lengths_spans_and_noise_are_t5_s(reference, run, test_data_dir, vocabulary):
    """Of all full segments exactly, and as many segments of the same documents."""
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    ours = run(
        table.preprocessor("span_corruption"),
        [document["targets"] for document in read(test_data_dir / _FOLDER / _DOCUMENTS)],
        sequence_length={"inputs": 1024, "targets": 1024},
        output_features={"inputs": feature, "targets": feature},
    )
    ours = [{side: list(tokens) for side, tokens in example.items()} for example in ours]
    full = []
    for examples in (ours, reference):
        segments = [spliced(example) for example in examples]
        expected = lengths.noise_counts(1137, noise_density=0.15, mean_span_length=3.0)
        counted = [
            (sum(mask), int(np.sum(np.diff(mask, prepend=False)[mask])))
            for tokens, mask in segments
            if len(tokens) == 1137
        ]
        assert set(counted) == {expected}
        sizes = {(len(e["inputs"]) + 1, len(e["targets"]) + 1) for e in examples[:40]}
        assert (1024, 229) in sizes
        full.append(len(counted))
    # T5's examples are in an order of their own, so only their number can be the same.
    assert full[0] == full[1] and len(ours) == len(reference)
    noise = [np.mean([v for e in es for v in spliced(e)[1]]) for es in (ours, reference)]
    assert noise[0] == pytest.approx(noise[1], abs=1e-4)
