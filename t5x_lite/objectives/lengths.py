"""How many raw tokens fill a window once an objective has rewritten them, and what else they need.

A segment of N tokens has n_noise = round(N * density) noise tokens in round(n_noise / mean) spans;
its inputs are N - n_noise + n_spans + 1 long and its targets n_noise + n_spans + 1, end token
included. The counts depend on N alone, only positions are random, so packed batches of a span
corruption task hold no padding when N is chosen well:

>>> span_corruption_lengths(512, noise_density=0.15, mean_span_length=3.0)
SpanCorruptionLengths(tokens=568, targets=114)

Where each token is noise by itself, lengths are random; N leaves room for the end token, and what
targets and sentinels need is what they come to on average.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from t5x_lite.errors import UserError


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
        raise UserError(
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


@dataclasses.dataclass(frozen=True)
class Needs:
    """What segments of one objective need, in windows of these lengths."""

    lengths: Mapping[str, int]
    tokens: int  # of a full segment, before it is rewritten
    targets: int
    sentinels: int = 0
    shortest_segment: int = 1

    def check_targets(self) -> "Needs":
        """Refuses targets that would be cut off: they teach a model to stop early, silently."""
        if self.targets > self.lengths["targets"]:
            raise UserError(
                f"Inputs of {self.lengths['inputs']} tokens make targets of {self.targets} tokens, "
                f"but the targets length is {self.lengths['targets']}: set "
                f"--gin.TASK_FEATURE_LENGTHS=\"{{'inputs': {self.lengths['inputs']}, 'targets': "
                f'{self.targets}}}" or shorter inputs.'
            )
        return self

    def check_sentinels(self, available: int) -> None:
        """Refuses segments with more runs of noise than the vocabulary can name."""
        if self.sentinels > available:
            raise UserError(
                f"Inputs of {self.lengths['inputs']} tokens need {self.sentinels} sentinels, the "
                f"vocabulary has {available}: shorten 'inputs' in --gin.TASK_FEATURE_LENGTHS=... "
                "or use a vocabulary with more extra_ids."
            )


# (lengths of the task's features, tokens in front of the inputs) -> what fits into them
Window = Callable[[Mapping[str, int] | None, int], Needs]


def spans(*, density: float, mean: float) -> Window:
    """Exact: a full segment fills the inputs."""

    def window(lengths: Mapping[str, int] | None, num_mode_tokens: int) -> Needs:
        lengths = _check(lengths, ("inputs", "targets"))
        settings = {"noise_density": density, "mean_span_length": mean}
        fitting = span_corruption_lengths(lengths["inputs"] - num_mode_tokens, **settings)
        sentinels = noise_counts(fitting.tokens, **settings).spans
        # There is nothing to hide in a single token.
        needs = Needs(lengths, fitting.tokens, fitting.targets, sentinels, shortest_segment=2)
        return needs.check_targets()

    return window


def whole_inputs(
    *,
    targets: Callable[[int], float],
    sentinels: Callable[[int], float] = lambda tokens: 0,
    shortest_segment: int = 1,
) -> Window:
    """As many raw tokens as the inputs have, less the end token.

    Args:
        targets: raw tokens -> tokens of their targets on average, without the end token.
        sentinels: raw tokens -> runs of noise on average.
    """

    def window(lengths: Mapping[str, int] | None, num_mode_tokens: int) -> Needs:
        lengths = _check(lengths, ("inputs", "targets"))
        tokens = lengths["inputs"] - num_mode_tokens - 1
        if tokens < 2:
            raise UserError(
                f"inputs length {lengths['inputs']} holds no text to rewrite: needed are at least "
                f"{num_mode_tokens + 3} tokens; raise 'inputs' in --gin.TASK_FEATURE_LENGTHS=..."
            )
        needs = Needs(
            lengths, tokens, round(targets(tokens)) + 1, round(sentinels(tokens)), shortest_segment
        )
        return needs.check_targets()

    return window


def whole_targets(lengths: Mapping[str, int] | None, num_mode_tokens: int) -> Needs:
    """As many raw tokens as the targets have: the end tokens of documents are among them."""
    del num_mode_tokens
    lengths = _check(lengths, ("targets",))
    return Needs(lengths, lengths["targets"], lengths["targets"])


def both_sides(lengths: Mapping[str, int] | None, num_mode_tokens: int) -> Needs:
    """Raw tokens that may stand on either side, without an end token of their own."""
    lengths = _check(lengths, ("inputs", "targets"))
    tokens = min(lengths["inputs"] - num_mode_tokens, lengths["targets"])
    return Needs(lengths, tokens, tokens, shortest_segment=2)


def iid_runs(tokens: int, *, density: float) -> float:
    """Runs of noise to expect in so many tokens: one starts wherever noise follows none."""
    return density + (tokens - 1) * density * (1 - density)


def _check(lengths: Mapping[str, int] | None, features: tuple[str, ...]) -> Mapping[str, int]:
    example = ", ".join(f"'{feature}': 512" for feature in features)
    for feature in features:
        length = (lengths or {}).get(feature)
        if length is None or length < 3:
            raise UserError(
                f"The objective cuts text to a window of {feature}, but its length is {length}; "
                f'needed are at least 3: --gin.TASK_FEATURE_LENGTHS="{{{example}}}".'
            )
    assert lengths is not None
    return lengths
