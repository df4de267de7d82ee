"""What is read at once: chunks of sentences against slow loops, and shares of their classes."""

import numpy as np
import pytest
import tensorflow as tf

from t5x_lite.objectives import framed, keys
from t5x_lite.objectives.framed import Sentences
from t5x_lite.text.template import START_AND_END, START_LAST, TWO_ENDS

SEPARATOR = 1


@pytest.fixture
def sentences(rows):
    """Documents of sentences of numbers that count up: a chunk says where it is from."""

    def make(documents):
        tokens, numbers, first = [], [], 100
        for number, lengths in enumerate(documents):
            for length in lengths:
                tokens.append([*range(first, first + length)])
                numbers.append(number)
                first += length
            first += 1000
        return Sentences(rows(tokens), tf.constant(numbers, tf.int64))

    return make


def make_keys(count, number=0):
    return keys.of_seed(tf.constant([number, 0], tf.int64), tf.constant(count))


def random_documents(number, count=30):
    generator = np.random.default_rng(number)
    return [generator.integers(1, 30, generator.integers(1, 15)).tolist() for _ in range(count)]


def slow_full(documents, capacity):
    rows, row, first = [], [], 100
    for number, lengths in enumerate(documents):
        for place, length in enumerate(lengths):
            sentence = [*range(first, first + length)]
            first += length
            for cut in range(0, length, capacity - 1):
                part = sentence[cut : cut + capacity - 1]
                is_end = place == len(lengths) - 1 and cut + capacity - 1 >= length
                if is_end and number < len(documents) - 1:
                    part = [*part, SEPARATOR]
                if len(row) + len(part) > capacity:
                    rows.append(row)
                    row = []
                row = row + part
        first += 1000
    return [row[:-1] if row[-1] == SEPARATOR else row for row in [*rows, row]]


@pytest.mark.parametrize("capacity", [8, 25, 60, 5000])
def test_full_sentences_fill_rows_one_after_another(sentences, capacity):
    """Across documents, whose ends are marked but where a row ends; long sentences are cut."""
    documents = random_documents(1)
    found = framed.full_sentences(sentences(documents), make_keys(30), capacity, SEPARATOR)
    assert found.first.to_list() == slow_full(documents, capacity)
    assert found.second is None and found.classes is None
    assert len(set(found.keys.numpy().tolist())) == found.first.nrows()


def pairs_of(found):
    return zip(found.first.to_list(), found.second.to_list(), found.classes.numpy().tolist())


def test_segments_follow_each_other_or_are_swapped(sentences):
    """With room for all, documents are told whole, half of the pairs the other way round."""
    documents = [lengths for lengths in random_documents(2, 300) if len(lengths) > 1]
    made = sentences(documents)
    found = framed.sentence_order(made, make_keys(len(documents)), 10_000, SEPARATOR)
    told = []
    for first, second, swapped in pairs_of(found):
        one, two = (second, first) if swapped else (first, second)
        assert one[-1] + 1 == two[0] and one and two
        told += one + two
    # Chunks of one sentence have no order; those come of the tenth that is shorter.
    assert len(told) > 0.95 * made.tokens.flat_values.shape[0]
    assert sorted(told) == told and set(told) <= set(made.tokens.flat_values.numpy().tolist())
    classes = found.classes.numpy()
    assert abs(classes.mean() - 0.5) < 3 * np.sqrt(0.25 / len(classes))


def test_a_random_segment_is_of_another_document(sentences):
    """Half of them, and all where a chunk has one sentence; the text goes on behind the first."""
    documents = random_documents(3, 200)
    found = framed.next_sentence(sentences(documents), make_keys(200), 60, SEPARATOR)
    random, last = [], 0
    for first, second, is_random in pairs_of(found):
        distance = second[0] - first[-1]
        # Numbers of one document stay within some hundreds; what is cut off leaves a gap.
        assert first and second and len(first) + len(second) <= 60
        assert (abs(distance) > 60) == bool(is_random), (first, second)
        assert first[0] >= last or first[0] - last > -60
        last = first[0]
        random.append(is_random)
    assert 0.45 < np.mean(random) < 0.65


def test_a_group_of_one_document_has_no_random_segments(sentences):
    found = framed.next_sentence(sentences([[5] * 40]), make_keys(1), 30, SEPARATOR)
    assert found.first.nrows() > 3 and not found.classes.numpy().any()
    lone = framed.next_sentence(sentences([[5]]), make_keys(1), 30, SEPARATOR)
    assert lone.first.nrows() == lone.second.nrows() == 0


def slow_lengths(one, two, capacity):
    """BERT's loop: a token of the longer one goes, of equal ones of the second."""
    while one + two > capacity:
        one, two = (one - 1, two) if one > two else (one, two - 1)
    return one, two


def test_pairs_are_cut_as_token_after_token(sentences):
    """Lengths are those of the loop; front and back lose about as much."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 80, [2000, 2])
    begins = np.array([0, 1000])
    one, two = ([tf.constant(b + 0 * n), tf.constant(b + n)] for b, n in zip(begins, lengths.T))
    cut = framed._fitting(one, two, 50, make_keys(2000))
    found = np.stack([(stop - begin).numpy() for begin, stop in cut], axis=1)
    assert found.tolist() == [[*slow_lengths(*pair, 50)] for pair in lengths.tolist()]
    fronts = np.stack([(side[0] - begin).numpy() for side, begin in zip(cut, begins)], axis=1)
    gone = lengths - found
    assert (fronts >= 0).all() and (fronts <= gone).all()
    assert abs(fronts.sum() / gone.sum() - 0.5) < 3 * np.sqrt(0.25 / gone.sum())


def test_one_in_ten_chunks_is_shorter(sentences):
    """Of 2 up to all tokens; sentences of one token tell its length exactly."""
    found = framed.sentence_order(sentences([[1] * 3000] * 40), make_keys(40), 50, SEPARATOR)
    lengths = (found.first.row_lengths() + found.second.row_lengths()).numpy()
    assert lengths.min() >= 2 and lengths.max() == 50
    # A short one is full all the same once in 49 times; the last of a document is short as well.
    expected, count = 0.1 * 48 / 49, len(lengths)
    assert abs((lengths < 50).mean() - expected) < 3 * np.sqrt(expected / count) + 40 / count


def test_what_stands_around_texts_has_its_types(rows):
    chunks = framed.Chunks(rows([[5, 6], [7]]), rows([[8], [9, 4]]), None, None)
    for template, ids, types in (
        (START_AND_END, [2, 5, 6, 3, 8, 3], [0, 0, 0, 0, 1, 1]),
        (TWO_ENDS, [2, 5, 6, 3, 3, 8, 3], [0] * 7),
        (START_LAST, [5, 6, 3, 8, 3, 2], [0, 0, 0, 1, 1, 2]),
    ):
        found = framed.frame(template.parts(is_pair=True), {"start": 2, "end": 3}, chunks)
        assert [each.to_list()[0] for each in found] == [ids, types]
