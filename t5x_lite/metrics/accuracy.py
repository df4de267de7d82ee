"""Shares of predictions that equal their targets, 0 to 100."""

from collections.abc import Hashable, Sequence

from t5x_lite.metrics.means import MeanOverExamples


def all_match(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> dict[str, float]:
    """100 if there is no mistake at all, else 0: for the answers to one question."""
    return {"exact_match": 100.0 * (accuracy(targets, predictions)["accuracy"] == 100.0)}


def _equal(target: Hashable, prediction: Hashable) -> float:
    return 100.0 * (target == prediction)


# Of labels: an output that is no label at all is simply wrong.
accuracy = MeanOverExamples(lambda target, prediction: {"accuracy": _equal(target, prediction)})
# Of texts: exact matches of the whole text.
sequence_accuracy = MeanOverExamples(
    lambda target, prediction: {"sequence_accuracy": _equal(target, prediction)}
)
