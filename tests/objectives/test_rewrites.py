"""Rewrites against loops over the tokens, for any mask."""

import collections

import hypothesis
import numpy as np
import pytest
import seqio
import tensorflow as tf
from hypothesis import strategies as st

from t5x_lite.objectives import rewrites

FIRST_SENTINEL = 1099
MASKS = st.lists(st.lists(st.booleans(), min_size=1, max_size=40), min_size=1, max_size=4)


def corrupt_oracle(tokens, noise, first_sentinel=FIRST_SENTINEL):
    """(inputs, targets) by a loop: a sentinel at each change, numbered as they appear."""
    inputs, targets = [], []
    for side, hidden in ((inputs, True), (targets, False)):
        count = 0
        for place, (token, is_noise) in enumerate(zip(tokens, noise)):
            if is_noise != hidden:
                side.append(token)
            elif place == 0 or noise[place - 1] != hidden:
                side.append(first_sentinel - count)
                count += 1
    return inputs, targets


def rewrite(kind, rows, lists, masks, vocabulary, number=0):
    flat = tf.constant([value for mask in masks for value in mask], tf.bool)
    return kind(rows(lists), flat, vocabulary, tf.constant([number, 0], tf.int64)).to_list()


def tokens_for(masks):
    return [list(range(3 + 50 * i, 3 + 50 * i + len(mask))) for i, mask in enumerate(masks)]


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(masks=MASKS)
def test_sentinels_equal_a_loop_for_any_mask(masks, rows, vocabulary):
    """Rows that start with noise or end without, all noise, none; each row counts by itself."""
    tokens = tokens_for(masks)
    expected = [corrupt_oracle(*row) for row in zip(tokens, masks)]
    inputs = rewrite(rewrites.noise_to_sentinels, rows, tokens, masks, vocabulary)
    targets = rewrite(rewrites.kept_to_sentinels, rows, tokens, masks, vocabulary)
    assert list(zip(inputs, targets)) == expected


def test_more_runs_than_sentinels_take_the_pieces_below(rows, vocabulary):
    """T5 did this with half of the tokens as noise: 128 runs in a window of 512."""
    mask = [False, True] * 128
    inputs = rewrite(rewrites.noise_to_sentinels, rows, [[3] * 256], [mask], vocabulary)[0]
    assert inputs[1::2] == list(range(FIRST_SENTINEL, FIRST_SENTINEL - 128, -1))


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(masks=MASKS)
def test_noise_is_kept_dropped_or_masked(masks, rows, vocabulary):
    """Drop tokens, and MASS, whose mask is the last id."""
    tokens = tokens_for(masks)
    pairs = [list(zip(*row)) for row in zip(tokens, masks)]
    for kind, expected in (
        (rewrites.keep_noise, [[t for t, n in row if n] for row in pairs]),
        (rewrites.drop_noise, [[t for t, n in row if not n] for row in pairs]),
        (rewrites.noise_to_mask, [[FIRST_SENTINEL if n else t for t, n in row] for row in pairs]),
        (rewrites.everything, tokens),
    ):
        assert rewrite(kind, rows, tokens, masks, vocabulary) == expected


def test_one_noise_token_in_ten_is_random(rows, vocabulary):
    """INV-10: 90/10 within three standard errors; any id from 3 on, and only noise changes."""
    masks, tokens = [[True] * 20_000, [False] * 50], [[5] * 20_000, [6] * 50]
    noise, kept = rewrite(rewrites.noise_to_mask_or_random, rows, tokens, masks, vocabulary)
    assert kept == tokens[1]
    random = [token for token in noise if token != FIRST_SENTINEL]
    # A random id may be that of the mask: one in 1,097.
    share = 0.1 * (1 - 1 / 1097)
    assert abs(len(random) / 20_000 - share) < 3 * np.sqrt(0.09 / 20_000)
    assert min(random) >= 3
    counts = np.histogram(random, bins=11, range=(3, 1100))[0]
    expected = len(random) / 11
    assert ((counts - expected) ** 2 / expected).sum() < 29.6  # 10 degrees, p = 0.001


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(masks=MASKS, number=st.integers(0, 1000))
def test_shuffled_noise_is_a_permutation_of_each_row(masks, number, rows, vocabulary):
    """INV-11: nothing leaves its row, what is not noise does not move."""
    tokens = tokens_for(masks)
    shuffled = rewrite(rewrites.shuffle_noise, rows, tokens, masks, vocabulary, number)
    for before, after, mask in zip(tokens, shuffled, masks):
        assert sorted(before) == sorted(after)
        assert all(a == b for a, b, n in zip(before, after, mask) if not n)


def test_all_orders_are_equally_likely(rows, vocabulary):
    """Four tokens have 24 orders; chi-squared with 23 degrees at p = 0.001."""
    draws = 2400
    found = rewrite(
        rewrites.shuffle_noise, rows, [[1, 2, 3, 4]] * draws, [[True] * 4] * draws, vocabulary
    )
    counts = collections.Counter(map(tuple, found))
    assert len(counts) == 24
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 49.7


@pytest.mark.test_data
def test_the_paper_s_example_token_for_token(rows, test_data_dir):
    """Figure 2 and table 3 of Raffel et al. (2020), in the vocabulary of T5."""
    vocabulary = seqio.SentencePieceVocabulary(
        str(test_data_dir / "vocab" / "t5_sentencepiece.model"), extra_ids=100
    )
    text = "Thank you for inviting me to your party last week."
    tokens = vocabulary.encode(text)
    pieces = [vocabulary.tokenizer.id_to_piece(token) for token in tokens]
    assert pieces == "▁Thank ▁you ▁for ▁inviting ▁me ▁to ▁your ▁party ▁last ▁week .".split()
    mask = [piece in ("▁for", "▁inviting", "▁last") for piece in pieces]

    def seen(kind):
        return vocabulary.decode(rewrite(kind, rows, [tokens], [mask], vocabulary)[0])

    inputs = "Thank you <extra_id_0> me to your party <extra_id_1> week."
    assert seen(rewrites.noise_to_sentinels) == inputs
    assert seen(rewrites.kept_to_sentinels) == (
        "<extra_id_0> for inviting <extra_id_1> last <extra_id_2>"
    )
    assert seen(rewrites.drop_noise) == "Thank you me to your party week."
    assert seen(rewrites.keep_noise) == "for inviting last"
    masked = rewrite(rewrites.noise_to_mask, rows, [tokens], [mask], vocabulary)[0]
    assert masked == [32_099 if n else t for t, n in zip(tokens, mask)]
    first, second, third = 32_099, 32_098, 32_097
    assert rewrite(rewrites.noise_to_sentinels, rows, [tokens], [mask], vocabulary) == [
        [1562, 25, first, 140, 12, 39, 1088, second, 471, 5]
    ]
    assert rewrite(rewrites.kept_to_sentinels, rows, [tokens], [mask], vocabulary) == [
        [first, 21, 14256, second, 336, third]
    ]
