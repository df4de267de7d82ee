"""F1 and Matthews' correlation of class labels, 0 to 100, as functions of summed counts.

What a model wrote that is no label at all is one more class, which no target has: always wrong.
"""

import dataclasses
import math
from collections.abc import Hashable, Sequence

import numpy as np
import sklearn.metrics
from jaxtyping import Float, Int

from t5x_lite.metrics.pairs import check_pairs

Counts = Float[np.ndarray, "examples statistics"]


class MatthewsCorrelation:
    """The correlation of two classifications (Matthews 1975; over several classes Gorodkin 2004),
    a function of the confusion matrix. 0 where all targets or all predictions are alike.
    """

    def __call__(self, targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> dict:
        """-100 to 100.

        Raises:
            ValueError: there are no targets, or not one prediction for each.
        """
        return self.from_sums(self.sums(targets, predictions).sum(axis=0))

    def sums(self, targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> Counts:
        """A one in each example's cell of the confusion matrix: rows targets, columns predictions,
        in the last row and column what is no label of any target.
        """
        check_pairs(targets, predictions)
        labels = list(dict.fromkeys(targets))
        size = len(labels) + 1
        cells = _classes(targets, labels) * size + _classes(predictions, labels)
        return np.eye(size * size)[cells]

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """The correlation of examples with this confusion matrix."""
        size = math.isqrt(len(sums))
        targets, predictions = np.divmod(np.arange(size * size), size)
        score = sklearn.metrics.matthews_corrcoef(targets, predictions, sample_weight=sums)
        return {"matthews_corrcoef": 100 * float(score)}


@dataclasses.dataclass(frozen=True)
class ClassF1:
    """F1 of some of the classes 0, 1, ..., averaged over them; 0 for a class that is neither
    among targets nor among predictions.
    """

    name: str
    classes: tuple[int, ...]

    def __call__(self, targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> dict:
        """0 to 100.

        Raises:
            ValueError: there are no targets, or not one prediction for each.
        """
        return self.from_sums(self.sums(targets, predictions).sum(axis=0))

    def sums(self, targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> Counts:
        """For each class: found, missed, falsely found."""
        check_pairs(targets, predictions)
        given = np.eye(len(self.classes) + 1, dtype=bool)[_classes(targets, self.classes)]
        found = np.eye(len(self.classes) + 1, dtype=bool)[_classes(predictions, self.classes)]
        counts = [given & found, given & ~found, ~given & found]
        return np.concatenate([each[:, :-1] for each in counts], axis=1).astype(float)

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """The mean F1 of classes with these counts."""
        if not sums.any():  # scikit-learn takes no sample of which all weights are 0
            return {self.name: 0.0}
        size = len(self.classes)
        classes, other = np.arange(size), np.full(size, size)
        score = sklearn.metrics.f1_score(
            np.concatenate([classes, classes, other]),
            np.concatenate([classes, other, classes]),
            sample_weight=sums,
            labels=classes,
            average="macro",
            zero_division=0.0,
        )
        return {self.name: 100 * float(score)}


class F1WithInvalid(ClassF1):
    """F1 of class 1 of two; what is neither 0 nor 1 counts as the wrong one of them."""

    def sums(self, targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> Counts:
        """Found, missed, falsely found.

        Raises:
            ValueError: a target is neither 0 nor 1.
        """
        unknown = sorted({str(target) for target in targets if target not in (0, 1)})
        if unknown:
            raise ValueError(
                f"f1 is of the classes 0 and 1, but targets are also {', '.join(unknown[:3])}; is "
                "this a split without labels? For more classes use mean_multiclass_f1."
            )
        check_pairs(targets, predictions)
        pairs = zip(targets, predictions, strict=True)
        return super().sums(targets, [p if p in (0, 1) else int(t == 0) for t, p in pairs])


def mean_multiclass_f1(num_classes: int) -> ClassF1:
    """The unweighted mean of the F1 of each class 0 ... num_classes - 1."""
    return ClassF1(f"mean_{num_classes}class_f1", tuple(range(num_classes)))


def _classes(labels: Sequence[Hashable], classes: Sequence[Hashable]) -> Int[np.ndarray, " n"]:
    """The place of each label among the classes; behind the last where it is none of them."""
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places.get(label, len(places)) for label in labels], np.int64)


matthews_corrcoef = MatthewsCorrelation()
f1_score_with_invalid = F1WithInvalid("f1", (1,))
