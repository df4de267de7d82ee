"""Sums that a step returns -> the scalars of USERS' dashboards (T5X's tags).

All that a step returns is added over steps. What describes a step and not its tokens, such as a
norm, has a name that begins with `PER_STEP`; its sum is divided by the number of steps.
"""

import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

# Before the tag of a metric whose mean over steps is wanted.
PER_STEP = "per_step/"

# Of each stack the feature whose tokens are counted.
COUNTED = {
    "encoder": "encoder_input_tokens",
    "decoder": "decoder_target_tokens",
}


def add(metrics: Sequence[Mapping[str, jax.Array]]) -> dict[str, float]:
    """Sums of several steps, fetched from the devices in one go.

    A metric with one number a layer becomes one for each, its name with `layers_<i>` for `layers`.
    """
    fetched = jax.device_get(list(metrics))
    sums: dict[str, float] = {}
    for name in fetched[0]:
        total = np.sum([step[name] for step in fetched], axis=0)
        if total.ndim == 0:
            sums[name] = float(total)
            continue
        for layer, value in enumerate(total):
            sums[name.replace("/layers/", f"/layers_{layer}/")] = float(value)
    return sums


def summarize(sums: Mapping[str, float]) -> dict[str, float]:
    """Scalars under T5X's tags; `loss_per_token` is the headline.

    `loss` is what was optimized, the mean over the steps summed; it is per token under our default
    normalization and whatever LOSS_NORMALIZING_FACTOR makes of it otherwise. Steps that did not
    count (see stability/health.py) add nothing; if none did, all scalars are 0.
    """
    steps, weight = max(sums["steps"], 1.0), max(sums["weight_sum"], 1.0)
    scalars = {"loss_per_token": sums["loss_sum"] / weight, "loss": sums["loss"] / steps}
    scalars |= _of_tokens(sums, steps, weight)
    scalars["loss_per_nonpadding_target_token"] = sums["loss_sum"] / weight
    scalars |= _per_position(sums)
    others = {
        name.removesuffix("/term"): value / steps
        for name, value in sums.items()
        if name.endswith("/term")
    } | _of_terms(sums)
    means = {
        name.removeprefix(PER_STEP): value / steps
        for name, value in sums.items()
        if name.startswith(PER_STEP)
    }
    return scalars | others | _non_padding(sums) | means


def _of_tokens(sums: Mapping[str, float], steps: float, weight: float) -> dict[str, float]:
    """What the cross-entropy of tokens is made of, where it is the first term of the loss."""
    if "cross_entropy_sum" not in sums:
        return {}
    # What normalized the term normalizes its two parts, so that they add up to it.
    share = sums["cross_entropy_sum"] / (sums["loss_sum"] or 1.0)
    return {
        "cross_ent_loss": sums["term"] / steps * share,
        "z_loss": sums["term"] / steps * (1.0 - share),
        "perplexity": math.exp(min(sums["cross_entropy_sum"] / weight, 700.0)),
    }


# What terms count -> (its tag, what it is a share of).
_SHARES = {
    "correct_sum": ("accuracy", "weight_sum"),
    "ranked_sum": ("auroc", "pairs_sum"),
}


def _of_terms(sums: Mapping[str, float]) -> dict[str, float]:
    """Of each term the shares of what it counts, the first one's without its name."""
    found = {}
    for name, value in sums.items():
        term, _, sum_of = name.rpartition("/")
        if sum_of in _SHARES:
            tag, whole = _SHARES[sum_of]
            prefix = f"{term}/" if term else ""
            found[f"{prefix}{tag}"] = value / max(sums[f"{prefix}{whole}"], 1.0)
    return found


def _per_position(sums: Mapping[str, float]) -> dict[str, float]:
    """The sums over all positions of targets, padding included."""
    positions = _positions_of_targets(sums)
    parts = {"loss": "loss_sum", "cross_ent_loss": "cross_entropy_sum", "z_loss": "z_loss_sum"}
    if not positions:
        return {}
    return {
        f"{tag}_per_all_target_tokens": sums[name] / positions
        for tag, name in parts.items()
        if name in sums
    }


def _non_padding(sums: Mapping[str, float]) -> dict[str, float]:
    """Shares of positions that hold a token, and the rows they would fill if packed perfectly."""
    present = {
        name: feature for name, feature in COUNTED.items() if sums.get(f"positions/{feature}")
    }
    fractions = {
        name: sums[f"tokens/{feature}"] / sums[f"positions/{feature}"]
        for name, feature in present.items()
    }
    positions = sum(sums[f"positions/{feature}"] for feature in present.values())
    if positions:
        fractions["overall"] = real_tokens(sums) / positions
    if targets := _positions_of_targets(sums):
        fractions["loss_weights"] = sums["weight_sum"] / targets
    rows = sums["rows"] / max(sums["steps"], 1.0)
    return {f"non_padding_fraction/{name}": share for name, share in fractions.items()} | {
        f"effective_batch_size/{name}": share * rows for name, share in fractions.items()
    }


def _positions_of_targets(sums: Mapping[str, float]) -> float:
    """Of the decoder, or of an encoder alone, whose targets are aligned with its inputs."""
    names = (f"positions/{feature}" for feature in reversed(COUNTED.values()))
    return next((sums[name] for name in names if sums.get(name)), 0.0)


def real_tokens(sums: Mapping[str, float]) -> float:
    """Tokens read and written, padding not counted."""
    return sum(sums.get(f"tokens/{feature}", 0.0) for feature in COUNTED.values())


def speed(
    sums: Mapping[str, float],
    seconds: float,
    devices: int,
    *,
    row_flops: float | None = None,
    peak_flops: float | None = None,
) -> dict[str, float]:
    """The timing/ scalars of the steps summed. As in T5X target_tokens_per_second counts padding;
    real_tokens_per_second, inputs included, does not.

    Args:
        row_flops: what a row of a batch costs (model.flops.training_flops).
        peak_flops: what one device can do in a second (utilization.peak_flops).
    """
    rows, targets = sums["rows"], _positions_of_targets(sums)
    scalars = {
        "timing/seconds": seconds,
        "timing/seqs": rows,
        "timing/steps_per_second": sums["steps"] / seconds,
        "timing/seqs_per_second": rows / seconds,
        "timing/seqs_per_second_per_core": rows / seconds / devices,
        "timing/target_tokens_per_second": targets / seconds,
        "timing/target_tokens_per_second_per_core": targets / seconds / devices,
        "timing/real_tokens_per_second": real_tokens(sums) / seconds,
    }
    if row_flops is not None:
        rate = row_flops * rows / seconds
        scalars["timing/model_flops_per_second"] = rate
        if peak_flops is not None:
            scalars["timing/mfu"] = rate / (peak_flops * devices)
    return scalars
