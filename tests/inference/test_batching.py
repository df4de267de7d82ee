"""Groups of examples: each once, in few shapes."""

from hypothesis import given
from hypothesis import strategies as st

from t5x_lite.features.config import SpecialTokens
from t5x_lite.inference.batching import bucket, groups, padded

LENGTHS = st.lists(st.integers(0, 300), max_size=40)


@given(lengths=LENGTHS, pieces=st.sampled_from([1, 2, 4]), batches=st.integers(1, 5))
def test_each_example_is_in_exactly_one_group_that_holds_it(lengths, pieces, batches):
    """Whatever the lengths, the batch and the mesh."""
    size = pieces * batches
    for width in (None, 64):
        found = list(groups(lengths, batch_size=size, rows_divide_by=pieces, width=width))
        assert sorted(place for group in found for place in group.places) == list(
            range(len(lengths))
        )
        for group in found:
            assert 0 < len(group.places) <= group.rows <= size and group.rows % pieces == 0
            assert width == group.width or max(lengths[i] for i in group.places) <= group.width


@given(lengths=LENGTHS)
def test_a_given_width_keeps_the_order_and_one_shape(lengths):
    """A job compiles one program, and its progress is that of the file."""
    found = list(groups(lengths, batch_size=8, width=32))
    assert [place for group in found for place in group.places] == list(range(len(lengths)))
    assert {(group.rows, group.width) for group in found} <= {(8, 32)}


@given(length=st.integers(0, 5000))
def test_widths_are_few_and_waste_at_most_half(length):
    """Powers of two from 16 on."""
    width = bucket(length)
    assert width >= length and width & (width - 1) == 0
    assert width == 16 or width < 2 * length


def test_rows_are_cut_or_padded_and_filler_has_an_end_token():
    """A row without any token would attend to nothing; segments tell padding, whatever its id."""
    special = SpecialTokens(padding=8, end=9)
    tokens, segments = padded([[5, 0, 7, 9], [0], []], rows=4, width=3, special=special)
    assert tokens.tolist() == [[5, 0, 7], [0, 8, 8], [8, 8, 8], [9, 8, 8]]
    assert segments.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]]
