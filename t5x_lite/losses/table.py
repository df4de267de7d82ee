"""The terms of a loss: a row is a config and the function that it stands for.

Another one is a row here and the file of its mathematics; its config stands in config.py, so that
gin files can name it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float

from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.attributes import AttributeCrossEntropy
from t5x_lite.losses.config import (
    AttributeLossConfig,
    ClassesLossConfig,
    LossConfig,
    MatchTeacherConfig,
    RegressionLossConfig,
    ReplacedTokensLossConfig,
    SpanLossConfig,
    TermConfig,
)
from t5x_lite.losses.denoising import LengthCrossEntropy, UnrolledCrossEntropy
from t5x_lite.losses.denoising_config import DenoisingLossConfig, LengthLossConfig
from t5x_lite.losses.examples import ClassCrossEntropy, SquaredError
from t5x_lite.losses.matching import MatchTeacher
from t5x_lite.losses.replaced import ReplacedTokens
from t5x_lite.losses.spans import SpanCrossEntropy
from t5x_lite.losses.states import match_direction, match_input, match_scores, match_states
from t5x_lite.losses.states_config import (
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
)
from t5x_lite.losses.tokens import TokenCrossEntropy
from t5x_lite.losses.weighting import Batch, Sums, loss_normalizer


@runtime_checkable
class Term(Protocol):
    """A summand: what it wants of the model and of a frozen teacher, and what it makes of it."""

    @property
    def config(self) -> TermConfig:
        """Its weight and normalization."""

    @property
    def wanted(self) -> Wanted:
        """Of the model that trains."""

    @property
    def wanted_of_teacher(self) -> Wanted | None:
        """Of a frozen model that reads the same batch; None asks for none."""

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """What counts for it, and how much."""

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        normalizer: Float[Array, ""],
        *,
        training: bool,
    ) -> tuple[Float[Array, ""], Sums]:
        """The term before its weight, and sums to report: loss_sum over weight_sum is its mean."""


TERMS: Mapping[type[TermConfig], Callable[[Any], Term]] = {
    LossConfig: TokenCrossEntropy,
    ClassesLossConfig: ClassCrossEntropy,
    RegressionLossConfig: SquaredError,
    ReplacedTokensLossConfig: ReplacedTokens,
    SpanLossConfig: SpanCrossEntropy,
    AttributeLossConfig: AttributeCrossEntropy,
    DenoisingLossConfig: UnrolledCrossEntropy,
    LengthLossConfig: LengthCrossEntropy,
    MatchTeacherConfig: MatchTeacher,
    MatchDirectionConfig: match_direction,
    MatchInputConfig: match_input,
    MatchStatesConfig: match_states,
    MatchScoresConfig: match_scores,
}


@dataclasses.dataclass(frozen=True)
class Loss:
    """The sum of terms. The first one's sums are reported as they are, the others' with the name of
    their config in front; "term" is the value of a term before its weight.
    """

    terms: tuple[Term, ...]

    @property
    def wanted(self) -> Wanted:
        """All that any term wants of the model."""
        return _all([term.wanted for term in self.terms])

    @property
    def wanted_of_teacher(self) -> Wanted | None:
        """All that any term wants of a teacher; None if none is needed."""
        asked = [term.wanted_of_teacher for term in self.terms]
        every = [wanted for wanted in asked if wanted is not None]
        return _all(every) if every else None

    def normalizers(self, batch: Batch) -> tuple[Float[Array, ""], ...]:
        """What each term is divided by. Give the whole batch's to microbatches, so that their
        losses and gradients add up to those of the whole.
        """
        return tuple(
            loss_normalizer(batch, term.weights(batch), term.config) for term in self.terms
        )

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        *,
        training: bool,
        normalizers: Sequence[Float[Array, ""]] | None = None,
    ) -> tuple[Float[Array, ""], Sums]:
        """The number to minimize, and the sums of all terms."""
        values: list[Array] = []
        sums: Sums = {}
        dividing = self.normalizers(batch) if normalizers is None else normalizers
        for term, normalizer in zip(self.terms, dividing, strict=True):
            value, own = term(outputs, teacher, batch, normalizer, training=training)
            prefix = f"{type(term.config).__name__}/" if values else ""
            sums |= {f"{prefix}{name}": total for name, total in (own | {"term": value}).items()}
            values.append(value if term.config.weight == 1.0 else term.config.weight * value)
        return sum(values[1:], values[0]), sums


def make_loss(configs: Sequence[TermConfig]) -> Loss:
    """The loss of a job."""
    return Loss(tuple(TERMS[type(config)](config) for config in configs))


def _all(wanted: Sequence[Wanted]) -> Wanted:
    everything = Wanted((), ())
    for each in wanted:
        everything = everything | each
    return everything
