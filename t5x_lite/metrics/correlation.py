"""Correlations of numbers, -100 to 100, as STS-B is scored.

They are no functions of sums (ranks change with what is drawn), so a resample computes them anew.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from t5x_lite.metrics.pairs import check_pairs

# T5's value for a text that is no number; similarities are 0 to 5.
UNPARSABLE = -1.0


def pearson_corrcoef(targets: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    """Of values; see `_correlation` for what is no number and for constants."""
    from scipy import stats  # a second of every start, if it stood above

    return {"pearson_corrcoef": _correlation(stats.pearsonr, targets, predictions)}


def spearman_corrcoef(targets: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    """Of ranks, the mean rank among equals."""
    from scipy import stats

    return {"spearman_corrcoef": _correlation(stats.spearmanr, targets, predictions)}


def _correlation(
    function: Callable[..., Any], targets: Sequence[Any], predictions: Sequence[Any]
) -> float:
    """0, no correlation, where all targets or all predictions are alike: the quotient is then
    undefined, and a model that always says the same must not look better than a bad one.
    """
    check_pairs(targets, predictions)
    given, found = np.asarray(targets, np.float64), _numbers(predictions)
    if given.min() == given.max() or found.min() == found.max():
        return 0.0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Nearly constant or huge predictions: scipy warns, the value is what it is.
        warnings.simplefilter("ignore")
        value = float(function(given, found)[0])
    return 100 * value if np.isfinite(value) else 0.0


def _numbers(predictions: Sequence[Any]) -> Float[np.ndarray, " examples"]:
    """A model may write anything, "nan" and "inf" included, which Python takes for numbers."""
    found = np.full(len(predictions), UNPARSABLE)
    for index, prediction in enumerate(predictions):
        try:
            value = float(prediction)
        except (TypeError, ValueError, OverflowError):
            continue
        if np.isfinite(value):
            found[index] = value
    return found
