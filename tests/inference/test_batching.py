"""Groups of examples: each once, in few shapes."""

from hypothesis import given
from hypothesis import strategies as st

from t5x_lite.features.config import SpecialTokens
from t5x_lite.inference.batching import bucket, by_width, groups, padded, widths_for

LENGTHS = st.lists(st.integers(0, 300), max_size=40)


@given(lengths=LENGTHS, pieces=st.sampled_from([1, 2, 4]), batches=st.integers(1, 5))
def test_each_example_is_in_exactly_one_group_that_holds_it(lengths, pieces, batches):
    """Whatever the lengths, the batch and the mesh."""
    size = pieces * batches
    found = list(groups(lengths, batch_size=size, rows_divide_by=pieces))
    assert sorted(place for group in found for place in group.places) == list(range(len(lengths)))
    for group in found:
        assert 0 < len(group.places) <= group.rows <= size and group.rows % pieces == 0
        assert max(lengths[i] for i in group.places) <= group.width


@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=9), copies=st.sampled_from([1, 99])
)
def test_each_example_goes_to_the_first_of_few_widths_that_holds_it(lengths, copies):
    """Four at most, none much wider than the longest needs; the longest come first in each."""
    lengths = lengths * copies
    widths = widths_for(lengths)
    assert 0 < len(widths) <= 4 and list(widths) == sorted(set(widths))
    assert max(lengths) <= widths[-1] < max(lengths) * 1.25 + 16.1
    found = dict(by_width(lengths, widths))
    assert sorted(place for places in found.values() for place in places) == list(
        range(len(lengths))
    )
    for width, places in found.items():
        chosen = [lengths[place] for place in places]
        assert chosen == sorted(chosen, reverse=True) and chosen[0] <= width
        narrower = [each for each in widths if each < width]
        assert not narrower or chosen[-1] > narrower[-1]


def test_jobs_of_any_lengths_have_few_widths():
    """Calls with other texts use the programs that there are: four for each doubling."""
    found = {widths_for([length])[-1] for length in range(257, 513)}
    assert found == {320, 384, 448, 512}


def test_a_width_of_its_own_is_for_what_would_cost_more_than_a_program():
    """Few short examples are padded, many are not."""
    assert widths_for([10] * 30 + [500] * 30) == (512,)
    assert widths_for([10] * 3000 + [500] * 30) == (16, 512)


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
