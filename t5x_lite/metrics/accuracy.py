"""Shares of predictions that equal their targets, 0 to 100."""

from collections.abc import Hashable, Sequence

from t5x_lite.metrics.pairs import check_pairs


def accuracy(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> dict[str, float]:
    """For labels: an output that is no label at all is simply wrong."""
    return {"accuracy": _percent_equal(targets, predictions)}


def sequence_accuracy(
    targets: Sequence[Hashable], predictions: Sequence[Hashable]
) -> dict[str, float]:
    """For texts: exact matches of the whole text."""
    return {"sequence_accuracy": _percent_equal(targets, predictions)}


def all_match(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> dict[str, float]:
    """100 if there is no mistake at all, else 0: for the answers to one question."""
    return {"exact_match": 100.0 * (_percent_equal(targets, predictions) == 100.0)}


def _percent_equal(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> float:
    check_pairs(targets, predictions)
    equal = sum(t == p for t, p in zip(targets, predictions, strict=True))
    return 100.0 * equal / len(targets)
