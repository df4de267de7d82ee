"""Chunks, joined documents and segments lose, repeat and reorder nothing."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from t5x_lite.objectives import segments


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8), max_tokens=st.integers(1, 20)
)
def test_segments_put_together_are_the_document(sizes, max_tokens, run):
    """All but a document's last segment are full; empty documents give none."""
    documents = [range(100 * i, 100 * i + size) for i, size in enumerate(sizes)]
    if not any(sizes):
        return
    found = run(segments.split_tokens, documents, max_tokens=max_tokens)
    expected = [d[i : i + max_tokens] for d in documents for i in range(0, len(d), max_tokens)]
    assert [e["targets"].tolist() for e in found] == [list(e) for e in expected]


def test_a_remainder_below_the_minimum_is_dropped(run):
    """Span corruption can do nothing with a single token: 7 = 3 + 3 + 1."""
    found = run(segments.split_tokens, [range(7)], max_tokens=3, min_tokens=2)
    assert [e["targets"].tolist() for e in found] == [[0, 1, 2], [3, 4, 5]]


def test_documents_are_joined_in_order(run):
    """Five documents, two at a time; the last group is smaller."""
    found = run(segments.join_documents, [[1, 2], [3], [4, 5, 6], [7], [8]], count=2)
    assert [e["targets"].tolist() for e in found] == [[1, 2, 3], [4, 5, 6, 7], [8]]


def test_one_chunk_of_a_grid_is_taken_and_empty_documents_are_dropped(run):
    """10 tokens on a grid of 4: the chunks are 0-3, 4-7 and 8-9, each about equally often."""
    documents = [range(10)] * 600 + [[]]
    found = run(segments.select_random_chunk, documents, max_tokens=4)
    starts = np.array([e["targets"][0] for e in found])
    assert len(found) == 600
    assert {tuple(e["targets"].tolist()) for e in found} == {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)}
    # Three standard errors of a share of 1/3 among 600.
    assert all(abs((starts == s).mean() - 1 / 3) < 3 * np.sqrt(2 / 9 / 600) for s in (0, 4, 8))
