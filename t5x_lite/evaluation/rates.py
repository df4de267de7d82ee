"""Signs of a model that does not do the task: sentinels, nothing at all, no end.

A model that was only pre-trained, or fine-tuned badly, answers with <extra_id_0>; scores alone do
not tell that from wrong answers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int32

Row = Int32[np.ndarray, " _length"]

_SENTINEL = "<extra_id_"
# Per cent of the answers beyond what the targets have.
_THRESHOLD = 5.0


def output_rates(
    rows: Sequence[Row], texts: Sequence[str], *, end_id: int | None, sentinel_ids: range
) -> dict[str, float]:
    """sentinel_rate, empty_rate and truncated_rate of answers, each 0 to 100.

    Args:
        rows: the ids that were decoded, the end token included where there is one.
        texts: what they mean.
        end_id: without it no answer counts as truncated.
        sentinel_ids: a vocabulary may turn these to no text at all.
    """
    ended = [_up_to_end(row, end_id) for row in rows]
    counts = {
        "sentinel_rate": sum(
            _SENTINEL in text or bool(np.isin(row, sentinel_ids).any())
            for row, text in zip(ended, texts, strict=True)
        ),
        "empty_rate": sum(not text.strip() for text in texts),
        "truncated_rate": sum(end_id is not None and end_id not in row for row in rows),
    }
    return {name: 100.0 * count / len(texts) for name, count in counts.items()}


def rate_warnings(task: str, rates: Mapping[str, float], targets: Mapping[str, float]) -> list[str]:
    """A line for each rate that is well above that of the targets, with what can be done."""
    advice = {
        "sentinel_rate": (
            "hold a sentinel such as <extra_id_0>: the checkpoint was only pre-trained, or its "
            "fine-tuning did not reach this task; fine-tune it (recipes/finetune.gin), or keep "
            "them out: --gin.FORBID_SENTINELS=True"
        ),
        "empty_rate": (
            "are empty: look at the prompts (t5x_lite inspect) and at the targets it learned from"
        ),
        "truncated_rate": (
            "did not end within the length allowed: raise --gin.MAX_DECODE_LENGTH=... if the "
            "targets are longer than it; otherwise the model repeats itself"
        ),
    }
    return [
        f"WARNING: {task}: {rates[name]:.1f} % of the answers {text} ({name})."
        for name, text in advice.items()
        if rates[name] > targets[name] + _THRESHOLD
    ]


def _up_to_end(row: Row, end_id: int | None) -> Row:
    ends = np.flatnonzero(row == end_id)
    return row[: ends[0]] if len(ends) else row
