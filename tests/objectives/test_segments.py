"""Chunks, joined documents and segments lose, repeat and reorder nothing."""

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from t5x_lite.objectives import segments

SIZES = st.lists(st.integers(0, 50), min_size=1, max_size=8)


def numbered(sizes):
    return [list(range(100 * i, 100 * i + size)) for i, size in enumerate(sizes)]


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(sizes=SIZES, max_tokens=st.integers(1, 20), data=st.data())
def test_segments_put_together_are_the_documents(sizes, max_tokens, data, rows):
    """All but a document's last segment are full; a last one below the minimum is dropped."""
    min_tokens = data.draw(st.integers(1, max_tokens))
    documents = numbered(sizes)
    found = segments.split(rows(documents), max_tokens=max_tokens, min_tokens=min_tokens)
    cut = [d[i : i + max_tokens] for d in documents for i in range(0, len(d), max_tokens)]
    assert found.to_list() == [segment for segment in cut if len(segment) >= min_tokens]


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(sizes=SIZES, data=st.data())
def test_selected_tokens_stay_in_their_rows(sizes, data, rows):
    """Also rows of which nothing stays."""
    documents = numbered(sizes)
    keep = data.draw(st.lists(st.booleans(), min_size=sum(sizes), max_size=sum(sizes)))
    kept = iter(keep)
    expected = [[token for token in row if next(kept)] for row in documents]
    found = segments.select(rows(documents), tf.constant(keep, tf.bool))
    assert found.to_list() == expected


def test_documents_are_joined_in_order(rows):
    """Empty ones leave no trace."""
    assert segments.join(rows([[1, 2], [], [3], [4, 5]])).to_list() == [[1, 2, 3, 4, 5]]


def test_tokens_are_put_at_either_end(rows):
    """End tokens of documents, mode tokens of inputs."""
    assert segments.append(rows([[3, 4], [5]]), 1).to_list() == [[3, 4, 1], [5, 1]]
    assert segments.prepend(rows([[3, 4], [5]]), [8, 9]).to_list() == [[8, 9, 3, 4], [8, 9, 5]]


def test_one_chunk_of_a_grid_is_taken(rows, seed):
    """10 tokens on a grid of 4: the chunks are 0-3, 4-7 and 8-9, each about equally often."""
    documents = [list(range(10))] * 600 + [[], [1, 2, 3]]
    found = segments.random_chunks(rows(documents), seed(0), max_tokens=4).to_list()
    assert found[600:] == [[], [1, 2, 3]]
    assert {tuple(chunk) for chunk in found[:600]} == {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)}
    starts = np.array([chunk[0] for chunk in found[:600]])
    # Three standard errors of a share of 1/3 among 600.
    assert all(abs((starts == s).mean() - 1 / 3) < 3 * np.sqrt(2 / 9 / 600) for s in (0, 4, 8))
