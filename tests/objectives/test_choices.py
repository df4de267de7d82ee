"""Chosen tokens against slow oracles, and their rates."""

import numpy as np
import pytest
import tensorflow as tf

from t5x_lite.objectives import choices, keys
from t5x_lite.objectives.choices import Texts

RATE = 0.15


@pytest.fixture
def texts(rows):
    """Rows of random words between special tokens, with one in the middle; and one without text."""

    def make(lengths, number=0):
        generator = np.random.default_rng(number)
        ids, is_text = [], []
        for length in lengths:
            text = [True] * length
            for place in (0, length // 2, length - 1):
                text[place] = False
            ids.append([*range(length)])
            is_text.append(text)
        flat = np.concatenate(is_text)
        begins = generator.random(len(flat)) < 0.6
        every = keys.of_seed(tf.constant([number, 1], tf.int64), tf.constant(len(lengths)))
        return Texts(rows(ids), tf.constant(flat), tf.constant(begins), every)

    return make


def split(texts, flat):
    return np.split(np.asarray(flat), np.cumsum(texts.ids.row_lengths())[:-1])


@pytest.mark.parametrize("choice", [choices.exactly, choices.drawn, choices.ngrams])
def test_special_tokens_are_never_chosen_and_some_text_is(texts, choice):
    """Also of the shortest rows, and where a row has no text at all."""
    made = texts([3, 4, 5, 20, 3, 128, 3])
    chosen = split(made, choice(RATE)(made, 128))
    for row, text in zip(chosen, split(made, made.is_text)):
        assert not (row & ~text).any()
        assert row.any() == text.any()


def test_exactly_so_many_are_chosen_and_each_equally_often(texts):
    lengths = [40] * 3000
    made = texts(lengths)
    chosen = np.stack(split(made, choices.exactly(RATE)(made, 40)))
    assert (chosen.sum(1) == round(40 * RATE)).all()
    text = split(made, made.is_text)[0]
    share = 6 / text.sum()
    error = np.sqrt(share * (1 - share) / len(lengths))
    assert (abs(chosen[:, text].mean(0) - share) < 4 * error).all()  # of 37 means the largest


def test_what_is_drawn_twice_is_chosen_once(texts):
    """k draws of n tokens leave one of them out with (1 - 1/n)^k."""
    lengths = [40] * 3000
    made = texts(lengths)
    chosen = np.stack(split(made, choices.drawn(RATE)(made, 40)))
    assert chosen.sum(1).max() <= 6 and (chosen.sum(1) < 6).any()
    expected = 1 - (1 - 1 / 37) ** 6
    counts = chosen.sum(1) / 37
    assert abs(counts.mean() - expected) < 3 * counts.std() / np.sqrt(len(lengths))


def test_more_draws_than_the_rate_allows_do_not_happen(texts):
    """Short rows round up: 4 of 25 in a row of 25 is .16, more than .155."""
    made = texts([25] * 50)
    chosen = split(made, choices.drawn(RATE)(made, 25))
    assert max(row.sum() for row in chosen) <= 3


def slow_ngrams(is_text, begins, key, longest=3):
    """Of one row, as ALBERT's code does it, by the draws of its key."""
    words = []
    for place, text in enumerate(is_text):
        if text:
            if begins[place] or not words or not is_text[place - 1]:
                words.append([])
            words[-1].append(place)
    places = tf.range(len(words), dtype=tf.int64)
    each = keys.derived(tf.fill([len(words)], key), places)
    order = np.argsort(keys.uniform(each, choices._ORDER).numpy(), kind="stable")
    sizes = keys.uniform(each, choices._SIZE).numpy()
    budget = min(max(1, round(len(is_text) * RATE)), int(np.sum(is_text)))
    chosen = set()
    for word in order:
        if len(chosen) >= budget:
            break
        left = min(longest, len(words) - word)
        shares = np.cumsum([1 / n for n in range(1, left + 1)])
        size = int(np.searchsorted(shares, sizes[word] * shares[-1], side="right")) + 1
        while size:
            ngram = [place for each in words[word : word + size] for place in each]
            if len(chosen) + len(ngram) <= budget:
                break
            size -= 1
        if size and not chosen & set(ngram):
            chosen |= set(ngram)
    return [place in chosen for place in range(len(is_text))]


@pytest.mark.parametrize("number", range(4))
def test_ngrams_are_those_of_the_slow_code(texts, number):
    """All rows at once choose what each would by itself."""
    generator = np.random.default_rng(number)
    made = texts(generator.integers(3, 90, 25).tolist(), number)
    chosen = split(made, choices.ngrams(RATE)(made, 128))
    columns = zip(split(made, made.is_text), split(made, made.begins_word), made.keys, chosen)
    for is_text, begins, key, row in columns:
        assert row.tolist() == slow_ngrams(is_text, begins, key)


def test_of_ngrams_n_has_a_probability_in_proportion_to_one_over_n():
    """p(1), p(2), p(3) = 6, 3 and 2 elevenths; of the last words fewer fit."""
    draws = np.random.default_rng(0).random(30_000)
    for most, expected in ((3, [6 / 11, 3 / 11, 2 / 11]), (2, [2 / 3, 1 / 3]), (1, [1])):
        sizes = choices._size(
            tf.fill([len(draws)], tf.constant(most, tf.int64)), tf.constant(draws)
        ).numpy()
        shares = np.bincount(sizes, minlength=most + 1)[1:] / len(draws)
        assert len(shares) == most
        errors = np.sqrt(np.array(expected) * (1 - np.array(expected)) / len(draws))
        assert (abs(shares - expected) <= 3 * errors).all()


def test_ngrams_come_close_to_their_share(texts):
    """Whole words seldom fill it exactly, and never pass it."""
    made = texts([128] * 300)
    chosen = np.stack(split(made, choices.ngrams(RATE)(made, 128)))
    assert (chosen.sum(1) <= 19).all() and chosen.sum(1).mean() > 18.5
