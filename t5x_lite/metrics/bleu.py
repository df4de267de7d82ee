"""Corpus BLEU as the T5 paper reports it: cased, `intl` tokens, `exp` smoothing."""

from collections.abc import Sequence

import numpy as np
import sacrebleu
from jaxtyping import Float

from t5x_lite.errors import UserError
from t5x_lite.metrics.pairs import check_pairs

_ORDERS = 4
_SMOOTHING = "exp"

# One text, or all translations that count as right.
References = str | Sequence[str]


class CorpusBleu:
    """BLEU as a function of n-gram counts summed over a corpus; call it like a function."""

    def __init__(self) -> None:
        # The predictions of an early model can look tokenized, which sacrebleu warns of: force.
        self._bleu = sacrebleu.BLEU(
            lowercase=False, force=True, tokenize="intl", smooth_method=_SMOOTHING
        )

    def __call__(
        self, targets: Sequence[References], predictions: Sequence[str]
    ) -> dict[str, float]:
        """0 to 100, over the whole corpus; a target is one reference or several, of which an n-gram
        may be in any and the one closest in length counts for the brevity penalty.

        Raises:
            UserError: there are no targets, not one prediction for each, or a target is no text.
        """
        check_pairs(targets, predictions)
        return self.from_sums(self.sums(targets, predictions).sum(axis=0))

    def sums(
        self, targets: Sequence[References], predictions: Sequence[str]
    ) -> Float[np.ndarray, "examples statistics"]:
        """Lengths of prediction and reference, then matches and totals of 1- to 4-grams."""
        statistics = np.zeros((len(targets), 2 + 2 * _ORDERS))
        for row, target, prediction in zip(statistics, targets, predictions, strict=True):
            streams = [[reference] for reference in _references(target)]
            score = self._bleu.corpus_score([prediction], streams)
            row[:] = [score.sys_len, score.ref_len, *score.counts, *score.totals]
        return statistics

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """BLEU of a corpus with these counts."""
        sys_len, ref_len, *counts = [round(value) for value in sums.tolist()]
        score = self._bleu.compute_bleu(
            counts[:_ORDERS], counts[_ORDERS:], sys_len, ref_len, smooth_method=_SMOOTHING
        )
        return {"bleu": score.score}


def _references(target: References) -> list[str]:
    references = [target] if isinstance(target, str) else list(target)
    if not references or not all(isinstance(each, str) for each in references):
        raise UserError(
            f"bleu: a target is {target!r}; needed is a text, or a list of texts that are all right"
        )
    return references


bleu = CorpusBleu()
