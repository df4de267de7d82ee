"""INV-8, the bookkeeping part: SPEC B.2.4's table of raw tokens and targets lengths."""

import hypothesis
import pytest
from hypothesis import strategies as st

from t5x_lite.objectives.lengths import iid_runs, noise_counts, span_corruption_lengths

# Window 512; rows: noise density, columns: mean span length 2, 3, 5, 10.
TABLE = {
    0.10: [(538, 82), (548, 74), (556, 68), (561, 63)],
    0.15: [(552, 126), (568, 114), (581, 105), (591, 99)],
    0.25: [(584, 220), (614, 206), (639, 193), (660, 182)],
    0.50: [(682, 512), (766, 512), (852, 512), (930, 512)],
}
OTHER_WINDOWS = {32: (34, 8), 64: (70, 14), 128: (141, 29), 256: (284, 58), 1024: (1137, 229)}


@pytest.mark.parametrize("density", TABLE)
def test_the_published_table_for_a_window_of_512(density):
    """T5's task lengths (512/114 and the ablations') come from this table."""
    found = [
        tuple(span_corruption_lengths(512, noise_density=density, mean_span_length=mean))
        for mean in (2.0, 3.0, 5.0, 10.0)
    ]
    assert found == TABLE[density]


@pytest.mark.parametrize("window", OTHER_WINDOWS)
def test_other_windows_at_density_15_percent_and_spans_of_3(window):
    """1024 -> 229 is mT5's number, 512 -> 114 T5's."""
    found = span_corruption_lengths(window, noise_density=0.15, mean_span_length=3.0)
    assert tuple(found) == OTHER_WINDOWS[window]


@hypothesis.settings(deadline=None)
@hypothesis.given(
    window=st.integers(3, 2000), density=st.floats(0.01, 0.49), mean=st.floats(1.0, 20.0)
)
def test_one_more_token_would_not_fit(window, density, mean):
    """`tokens` is the largest that fits, whatever the window: otherwise batches hold padding."""

    def inputs_length(tokens):
        noise = noise_counts(tokens, noise_density=density, mean_span_length=mean)
        return tokens - noise.tokens + noise.spans + 1

    tokens = span_corruption_lengths(window, noise_density=density, mean_span_length=mean).tokens
    assert inputs_length(tokens + 1) > window
    assert inputs_length(tokens) <= window


@hypothesis.given(
    length=st.integers(2, 3000), density=st.floats(0.01, 0.99), mean=st.floats(1.0, 20.0)
)
def test_counts_leave_room_for_every_span(length, density, mean):
    """Each span needs a noise token and a kept token before it, or no such mask exists."""
    noise = noise_counts(length, noise_density=density, mean_span_length=mean)
    assert 1 <= noise.spans <= min(noise.tokens, length - noise.tokens)


def test_a_window_without_room_says_what_is_needed():
    """Two tokens cannot hold a kept token, a sentinel and the end."""
    with pytest.raises(ValueError, match="at least 3 tokens.*TASK_FEATURE_LENGTHS"):
        span_corruption_lengths(2, noise_density=0.15, mean_span_length=3.0)


def test_windows_of_independent_noise_expect_what_the_paper_s_lengths_leave_room_for():
    """SPEC B.2.4: 500.5 and 143.5 tokens at 15 %, 65.2 runs; the paper gave targets 192."""
    assert iid_runs(511, density=0.15) == pytest.approx(65.2, abs=0.05)
    assert 511 * 0.15 + iid_runs(511, density=0.85) + 1 == pytest.approx(143.5, abs=0.05)
    assert 511 * 0.85 + iid_runs(511, density=0.15) + 1 == pytest.approx(500.5, abs=0.05)
