"""Corpus BLEU as the T5 paper reports it: cased, `intl` tokens, `exp` smoothing."""

from collections.abc import Sequence

import sacrebleu


def bleu(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """0 to 100, over the whole corpus; one reference each."""
    score = sacrebleu.corpus_bleu(
        list(predictions),
        [list(targets)],
        smooth_method="exp",
        tokenize="intl",
        lowercase=False,
        # The predictions of an early model can look tokenized, which sacrebleu warns of.
        force=True,
    )
    return {"bleu": score.score}
