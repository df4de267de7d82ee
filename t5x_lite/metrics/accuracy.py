"""Shares of predictions that equal their targets, 0 to 100."""

from collections.abc import Hashable, Sequence


def accuracy(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> dict[str, float]:
    """For labels: an output that is no label at all is simply wrong."""
    return {"accuracy": _percent_equal(targets, predictions)}


def sequence_accuracy(
    targets: Sequence[Hashable], predictions: Sequence[Hashable]
) -> dict[str, float]:
    """For texts: exact matches of the whole text."""
    return {"sequence_accuracy": _percent_equal(targets, predictions)}


def _percent_equal(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> float:
    if not targets:
        raise ValueError("There are no targets to score; was the split empty?")
    equal = sum(t == p for t, p in zip(targets, predictions, strict=True))
    return 100.0 * equal / len(targets)
