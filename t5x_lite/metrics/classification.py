"""F1 and Matthews' correlation of class labels, 0 to 100.

Scores are scikit-learn's; resamples, which come by the thousand, take them from summed counts. What
a model wrote that is no label at all is one more class, which no target has: always wrong.
"""

import dataclasses
import math
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int

from t5x_lite.errors import UserError
from t5x_lite.metrics.pairs import check_pairs

Labels = Sequence[Hashable]
Sums = Float[np.ndarray, " statistics"]
Rows = Float[np.ndarray, "examples statistics"]


class MatthewsCorrelation:
    """The correlation of two classifications (Matthews 1975; over several classes Gorodkin 2004).
    0 where all targets or all predictions are alike.
    """

    def __call__(self, targets: Labels, predictions: Labels) -> dict[str, float]:
        """-100 to 100.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        check_pairs(targets, predictions)
        labels = list(dict.fromkeys(targets))
        given, found = _classes(targets, labels), _classes(predictions, labels)
        from sklearn import metrics  # a second of every start, if it stood above

        # scikit-learn warns of a single class, and its value is 0 too.
        alike = given.min() == given.max() or found.min() == found.max()
        score = 0.0 if alike else metrics.matthews_corrcoef(given, found)
        return {"matthews_corrcoef": 100 * float(score)}

    def sums(self, targets: Labels, predictions: Labels) -> Rows:
        """A one in each example's cell of the confusion matrix: rows targets, columns predictions,
        the last of each for what is no label of any target.
        """
        labels = list(dict.fromkeys(targets))
        size = len(labels) + 1
        return np.eye(size * size)[_classes(targets, labels) * size + _classes(predictions, labels)]

    def from_sums(self, sums: Sums) -> dict[str, float]:
        """The correlation of examples with this confusion matrix."""
        size = math.isqrt(len(sums))
        confusion = sums.reshape(size, size)
        given, found, total = confusion.sum(axis=1), confusion.sum(axis=0), sums.sum()
        spread = (total**2 - given @ given) * (total**2 - found @ found)
        if not spread:
            return {"matthews_corrcoef": 0.0}
        covariance = np.trace(confusion) * total - given @ found
        return {"matthews_corrcoef": 100 * float(covariance / np.sqrt(spread))}


@dataclasses.dataclass(frozen=True)
class ClassF1:
    """F1 of some of the classes 0, 1, ..., averaged over them; 0 for a class that is neither
    among targets nor among predictions.
    """

    name: str
    classes: tuple[int, ...]

    def __call__(self, targets: Labels, predictions: Labels) -> dict[str, float]:
        """0 to 100.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        check_pairs(targets, predictions)
        from sklearn import metrics

        score = metrics.f1_score(
            _classes(targets, self.classes),
            _classes(predictions, self.classes),
            labels=range(len(self.classes)),
            average="macro",
            zero_division=0.0,
        )
        return {self.name: 100 * float(score)}

    def sums(self, targets: Labels, predictions: Labels) -> Rows:
        """For each class whether it was found, given (a target) and predicted."""
        one_hot = np.eye(len(self.classes) + 1)[:, :-1]
        given = one_hot[_classes(targets, self.classes)]
        predicted = one_hot[_classes(predictions, self.classes)]
        return np.concatenate([given * predicted, given, predicted], axis=1)

    def from_sums(self, sums: Sums) -> dict[str, float]:
        """The mean F1 of classes with these counts."""
        found, given, predicted = sums.reshape(3, -1)
        scores = 2 * found / np.maximum(given + predicted, 1)
        return {self.name: 100 * float(scores.mean())}


class F1WithInvalid:
    """F1 of class 1 of two; what is neither 0 nor 1 counts as the wrong one of them."""

    def __call__(self, targets: Labels, predictions: Labels) -> dict[str, float]:
        """0 to 100.

        Raises:
            UserError: there are no targets, not one prediction for each, or a target is neither 0
                nor 1.
        """
        return _F1_OF_ONE(targets, _opposed(targets, predictions))

    def sums(self, targets: Labels, predictions: Labels) -> Rows:
        """Whether class 1 was found, given and predicted."""
        return _F1_OF_ONE.sums(targets, _opposed(targets, predictions))

    def from_sums(self, sums: Sums) -> dict[str, float]:
        """F1 of examples with these counts."""
        return _F1_OF_ONE.from_sums(sums)


def mean_multiclass_f1(num_classes: int) -> ClassF1:
    """The unweighted mean of the F1 of each class 0 ... num_classes - 1."""
    return ClassF1(f"mean_{num_classes}class_f1", tuple(range(num_classes)))


def _opposed(targets: Labels, predictions: Labels) -> list[Hashable]:
    """Predictions that are no label, made the other label than the target."""
    check_pairs(targets, predictions)
    unknown = sorted({str(target) for target in targets if target not in (0, 1)})
    if unknown:
        raise UserError(
            f"f1 is of the classes 0 and 1, but targets are also {', '.join(unknown[:3])}; is this "
            "a split without labels? For more classes use mean_multiclass_f1."
        )
    pairs = zip(targets, predictions, strict=True)
    return [p if p in (0, 1) else int(t == 0) for t, p in pairs]


def _classes(labels: Labels, classes: Sequence[Hashable]) -> Int[np.ndarray, " n"]:
    """The place of each label among the classes; behind the last where it is none of them."""
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places.get(label, len(places)) for label in labels], np.int64)


# Class 0 is counted as none, so only class 1 has a score.
_F1_OF_ONE = ClassF1("f1", (1,))

matthews_corrcoef = MatthewsCorrelation()
f1_score_with_invalid = F1WithInvalid()
