"""How many raw tokens fill a window once spans of them are replaced by sentinels.

A segment of N tokens has n_noise = round(N * density) noise tokens in round(n_noise / mean) spans;
its inputs are N - n_noise + n_spans + 1 long and its targets n_noise + n_spans + 1, end token
included. The counts depend on N alone, only positions are random, so packed batches of a span
corruption task hold no padding when N is chosen well:

>>> span_corruption_lengths(512, noise_density=0.15, mean_span_length=3.0)
SpanCorruptionLengths(tokens=568, targets=114)
"""

from typing import NamedTuple


class SpanCorruptionLengths(NamedTuple):
    """Raw tokens of a full segment, and what its targets come to with the end token."""

    tokens: int
    targets: int


class NoiseCounts(NamedTuple):
    """How much of a segment is noise."""

    tokens: int
    spans: int


def noise_counts(length: int, *, noise_density: float, mean_span_length: float) -> NoiseCounts:
    """Noise tokens and spans of `length` raw tokens, of which at least one stays."""
    # Python's round is half to even, as TensorFlow's is.
    tokens = min(max(round(length * noise_density), 1), length - 1)
    spans = max(round(tokens / mean_span_length), 1)
    # Every span is preceded by at least one token that is not noise.
    return NoiseCounts(tokens, min(spans, length - tokens))


def span_corruption_lengths(
    inputs_length: int, *, noise_density: float, mean_span_length: float
) -> SpanCorruptionLengths:
    """The most raw tokens whose inputs, with the end token, fit into `inputs_length`."""

    def lengths(tokens: int) -> tuple[int, int]:
        noise = noise_counts(tokens, noise_density=noise_density, mean_span_length=mean_span_length)
        return tokens - noise.tokens + noise.spans + 1, noise.tokens + noise.spans + 1

    if inputs_length < 3:
        raise ValueError(
            f"inputs length {inputs_length} holds no corrupted text: needed are at least 3 tokens "
            "(one kept, a sentinel, the end); raise 'inputs' in --gin.TASK_FEATURE_LENGTHS=..."
        )
    tokens = 2
    while lengths(tokens + 1)[0] <= inputs_length:
        tokens += 1
    inputs, targets = lengths(tokens)
    # At density 0.5 both sides are meant to be equally long.
    if noise_density == 0.5 and targets > inputs:
        tokens, targets = tokens - 1, targets - 1
    return SpanCorruptionLengths(tokens, targets)
