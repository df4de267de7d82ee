"""What a predictor scores that has learned nothing, to stand beside a model's score."""

import collections
from collections.abc import Hashable, Sequence

from t5x_lite.errors import UserError


def majority_class_accuracy(
    train_targets: Sequence[Hashable], targets: Sequence[Hashable]
) -> dict[str, float]:
    """Accuracy, 0 to 100, of always predicting the label that is most frequent in training."""
    if not train_targets or not targets:
        raise UserError(
            f"A majority class needs targets: {len(train_targets)} of training and {len(targets)} "
            "to score were given."
        )
    majority, _ = collections.Counter(train_targets).most_common(1)[0]
    return {"accuracy": 100.0 * sum(t == majority for t in targets) / len(targets)}
