"""ROUGE-1, ROUGE-2 and ROUGE-Lsum (Lin 2004), F-measures 0 to 100, as T5 scores CNN/Daily Mail.

No stemming. ROUGE-Lsum compares summaries sentence by sentence, and sentences of CNN/Daily Mail end
with " . "; that becomes a line break, which is what the scorer splits at.
"""

import functools
from collections.abc import Sequence

import numpy as np

from t5x_lite.metrics.means import ExampleScores, MeanOverExamples

SCORE_KEYS = ("rouge1", "rouge2", "rougeLsum")

_NUM_RESAMPLES = 1000


class BootstrapRouge:
    """The middle of the bootstrap distribution of the mean, which is what the official script and
    T5 report; it differs from the mean by a few hundredths. Our resamples are drawn with a fixed
    seed, so that the same predictions have the same score.

    An interval is that of the mean (`by_example`): a bootstrap of bootstraps would say the same.
    """

    def __call__(self, targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
        """The median of 1,000 resampled means.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        scores = self.by_example(targets, predictions)
        rows = np.stack([scores.values[key] for key in SCORE_KEYS], axis=1)
        rng, size = np.random.default_rng(0), len(rows)
        means = [rows[rng.integers(0, size, size)].mean(axis=0) for _ in range(_NUM_RESAMPLES)]
        middle = np.median(means, axis=0)
        return dict(zip(SCORE_KEYS, middle.tolist(), strict=True))

    def by_example(self, targets: Sequence[str], predictions: Sequence[str]) -> ExampleScores:
        """The scores of each pair."""
        return rouge_mean.by_example(targets, predictions)


def _score(target: str, prediction: str) -> dict[str, float]:
    scores = _scorer().score(target=_with_lines(target), prediction=_with_lines(prediction))
    return {key: 100 * scores[key].fmeasure for key in SCORE_KEYS}


def _with_lines(summary: str) -> str:
    return summary.replace(" . ", " .\n")


@functools.cache
def _scorer():  # type: ignore[no-untyped-def]
    # Half a second of imports (nltk), which a task that is only trained on need not wait for.
    from rouge_score import rouge_scorer

    return rouge_scorer.RougeScorer(SCORE_KEYS, use_stemmer=False)


rouge = BootstrapRouge()
rouge_mean = MeanOverExamples(_score)
