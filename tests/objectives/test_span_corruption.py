"""Span corruption against oracles written from SPEC B.2.3 and B.2.4, and INV-8 on real text."""

import collections
import math

import hypothesis
import numpy as np
import pytest
import seqio
import tensorflow as tf
from hypothesis import strategies as st

from t5x_lite.objectives import lengths, objective
from t5x_lite.objectives.span_corruption import random_composition, random_spans, span_corruption

DENSITY, MEAN = 0.15, 3.0
FIRST_SENTINEL = 1099


def mask_of(length, *, density=DENSITY, mean=MEAN, seed=0):
    seeds = tuple((tf.constant(seed), tf.constant(i)) for i in (1, 2))
    noise = random_spans(noise_density=density, mean_span_length=mean)
    return np.asarray(noise(tf.constant(length), seeds))


def corrupt_oracle(tokens, noise):
    """(inputs, targets) by a loop: a sentinel at each change, numbered as they appear."""
    inputs, targets = [], []
    for side, hidden in ((inputs, True), (targets, False)):
        count = 0
        for place, (token, is_noise) in enumerate(zip(tokens, noise)):
            if is_noise != hidden:
                side.append(token)
            elif place == 0 or noise[place - 1] != hidden:
                side.append(FIRST_SENTINEL - count)
                count += 1
    return inputs, targets


def restore(example, *, first_sentinel_id=1000):
    """The raw tokens, by putting what follows a sentinel in targets where it stands in inputs."""
    spans, current = {}, None
    for token in example["targets"].tolist():
        if token >= first_sentinel_id:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    raw = []
    for token in example["inputs"].tolist():
        raw.extend(spans[token] if token >= first_sentinel_id else [token])
    return raw


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    length=st.integers(2, 700),
    density=st.sampled_from([0.1, 0.15, 0.25, 0.5]),
    mean=st.sampled_from([2.0, 3.0, 5.0, 10.0]),
    seed=st.integers(0, 2**20),
)
def test_the_mask_has_exactly_the_counted_noise_and_spans(length, density, mean, seed):
    """Counts are a function of the length, which is what makes batches of full rows possible."""
    noise = mask_of(length, density=density, mean=mean, seed=seed)
    expected = lengths.noise_counts(length, noise_density=density, mean_span_length=mean)
    starts = np.flatnonzero(np.diff(noise.astype(int)) == 1)
    assert len(noise) == length
    assert (noise.sum(), len(starts)) == expected
    assert not noise[0] and noise[-1]


def test_every_composition_is_equally_likely():
    """7 as a sum of 3 positive numbers has C(6, 2) = 15 forms; chi-squared at p = 0.001."""
    draws = 3000
    parts = tf.data.Dataset.range(draws).map(
        lambda i: random_composition(tf.constant(7), tf.constant(3), (i, tf.constant(1, tf.int64)))
    )
    counts = collections.Counter(tuple(form.tolist()) for form in parts.as_numpy_iterator())
    assert len(counts) == math.comb(6, 2)
    assert all(sum(form) == 7 and min(form) > 0 for form in counts)
    expected = draws / 15
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 36.1


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(noise=st.lists(st.booleans(), min_size=1, max_size=40))
def test_rewrites_equal_a_loop_for_any_mask(noise, vocabulary):
    """Also masks that start with noise or end without, which other objectives will have."""
    tokens = np.arange(3, 3 + len(noise), dtype=np.int32)
    inputs = objective.noise_to_sentinels(tf.constant(tokens), tf.constant(noise), vocabulary)
    targets = objective.kept_to_sentinels(tf.constant(tokens), tf.constant(noise), vocabulary)
    assert (list(inputs), list(targets)) == corrupt_oracle(tokens, noise)


def test_full_segments_fill_the_window_and_restore_exactly(run, features):
    """INV-8 on generated documents: no padding, nothing lost, nothing invented."""
    generator = np.random.default_rng(0)
    documents = [generator.integers(3, 1000, n) for n in generator.integers(1, 400, 40)]
    expected = lengths.span_corruption_lengths(64, noise_density=DENSITY, mean_span_length=MEAN)
    window = {"inputs": 64, "targets": expected.targets}
    examples = run(span_corruption, documents, sequence_length=window, output_features=features)
    raw = np.concatenate(documents)
    *full, last = examples
    assert len(full) == len(raw) // expected.tokens
    # One place is left for the end token that the task appends.
    assert {len(example["inputs"]) + 1 for example in full} == {64}
    assert {len(example["targets"]) + 1 for example in full} == {expected.targets}
    restored = [token for example in examples for token in restore(example)]
    np.testing.assert_array_equal(restored, raw)


@pytest.mark.test_data
def test_a_thousand_real_lines_fill_the_window_and_restore_exactly(run, test_data_dir):
    """INV-8 on real text with the real T5 vocabulary, window 512: 568 raw tokens, 114 targets."""
    vocabulary = seqio.SentencePieceVocabulary(
        str(test_data_dir / "vocab" / "t5_sentencepiece.model"), extra_ids=100
    )
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    text = (test_data_dir / "text" / "wikitext-2" / "valid.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip()][:1000]
    assert len(lines) == 1000
    documents = [vocabulary.encode(line) for line in lines]
    examples = run(
        span_corruption,
        documents,
        sequence_length={"inputs": 512, "targets": 114},
        output_features={"inputs": feature, "targets": feature},
    )
    # 128 documents are joined at a time, of which the last segment is shorter, and a single token
    # that is left over is dropped because there is nothing to hide.
    expected = []
    for start in range(0, len(documents), 128):
        joined = [token for document in documents[start : start + 128] for token in document]
        expected += [joined[i : i + 568] for i in range(0, len(joined), 568)]
    expected = [segment for segment in expected if len(segment) > 1]
    restored = [restore(example, first_sentinel_id=32_000) for example in examples]
    assert restored == expected
    full = [example for example, raw in zip(examples, restored) if len(raw) == 568]
    assert len(full) > 100
    assert {len(example["inputs"]) + 1 for example in full} == {512}
    assert {len(example["targets"]) + 1 for example in full} == {114}


def test_the_first_sentinel_of_a_sequence_is_extra_id_0(run, features):
    """`<extra_id_0>` is the last id of the vocabulary; sentinels count down from it in order."""
    window = {"inputs": 64, "targets": 14}
    examples = run(
        span_corruption, [range(3, 73)], sequence_length=window, output_features=features
    )
    for side in ("inputs", "targets"):
        sentinels = [t for t in examples[0][side] if t > 999]
        assert sentinels == list(range(FIRST_SENTINEL, FIRST_SENTINEL - len(sentinels), -1))


def test_noise_is_a_function_of_the_seed(run, features):
    """The same seed corrupts the same places; another seed others."""
    arguments = dict(sequence_length={"inputs": 64, "targets": 14}, output_features=features)
    documents = [range(3, 143)]
    first = run(span_corruption, documents, seed=1, **arguments)
    again = run(span_corruption, documents, seed=1, **arguments)
    other = run(span_corruption, documents, seed=2, **arguments)
    for a, b in zip(first, again):
        np.testing.assert_array_equal(a["inputs"], b["inputs"])
    assert any(list(a["inputs"]) != list(b["inputs"]) for a, b in zip(first, other))


@pytest.mark.parametrize(
    "window, message",
    [
        (None, "no lengths were given.*TASK_FEATURE_LENGTHS"),
        ({"inputs": 64, "targets": 13}, "targets of 14 tokens.*is 13.*'targets': 14"),
        ({"inputs": 2048, "targets": 512}, "needs 114 sentinels, the vocabulary has 100"),
    ],
)
def test_lengths_that_cannot_work_are_refused_with_those_that_can(window, message, features):
    """Trimmed targets would teach a model to stop early, silently."""
    dataset = tf.data.Dataset.from_tensors({"targets": tf.range(3, 100)})
    with pytest.raises(ValueError, match=message):
        span_corruption(dataset, window, features)
