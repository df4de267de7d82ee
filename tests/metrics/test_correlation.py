"""Correlations by hand, and what a model writes that is no number."""

import pytest

from t5x_lite.metrics.correlation import UNPARSABLE, pearson_corrcoef, spearman_corrcoef


def test_pearson_by_hand():
    """Deviations (-1, 0, 1) and (-1, -1, 2): 3 / sqrt(2 * 6)."""
    found = pearson_corrcoef([1.0, 2.0, 3.0], [0.0, 0.0, 3.0])
    assert found == {"pearson_corrcoef": pytest.approx(100 * 3 / 12**0.5)}


def test_spearman_by_hand():
    """Ranks only: exponentials correlate fully; equals share a rank: 1.5 / sqrt(2 * 1.5)."""
    assert spearman_corrcoef([1, 2, 3], [1, 10, 1000])["spearman_corrcoef"] == pytest.approx(100)
    found = spearman_corrcoef([1, 2, 3], [0.0, 0.0, 3.0])["spearman_corrcoef"]
    assert found == pytest.approx(100 * 1.5 / 3**0.5)
    assert spearman_corrcoef([0, 2, 1], [0, 1, 2])["spearman_corrcoef"] == pytest.approx(50)


@pytest.mark.parametrize("metric", [pearson_corrcoef, spearman_corrcoef])
@pytest.mark.parametrize("text", ["nan", "inf", "four", None, "1e999", 10**400])
def test_what_is_no_number_counts_as_minus_one(metric, text):
    """T5's value of a text that cannot be parsed."""
    targets = [0.0, 1.2, 3.4, 5.0]
    assert metric(targets, [0.0, 1.0, text, 4.8]) == metric(targets, [0.0, 1.0, UNPARSABLE, 4.8])


@pytest.mark.parametrize("metric", [pearson_corrcoef, spearman_corrcoef])
@pytest.mark.parametrize(
    ("targets", "predictions"),
    [([1.0, 2.0, 3.0], [2.5] * 3), ([2.0] * 3, [1.0, 2.0, 3.0]), ([1.0], [4.0])],
)
def test_constants_do_not_correlate_and_do_not_warn(metric, targets, predictions):
    """The quotient is undefined; warnings are errors here."""
    assert list(metric(targets, predictions).values()) == [0.0]


@pytest.mark.parametrize("metric", [pearson_corrcoef, spearman_corrcoef])
def test_huge_predictions_are_no_error(metric):
    """A model may write 309 digits."""
    (score,) = metric([1.0, 2.0, 3.0], [1e308, 1.0, -1e308]).values()
    assert -100 <= score <= 0
