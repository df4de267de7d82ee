"""What a head is, as a frozen value (no JAX)."""

import dataclasses
import difflib

from t5x_lite.bounds import MAX_LENGTH, MAX_VOCABULARY, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.features.config import Attribute
from t5x_lite.model.choices import ACTIVATIONS, HeadKind

# Of whole examples: read at their first positions.
OF_EXAMPLES = (HeadKind.SENTENCE, HeadKind.CLASSES, HeadKind.REGRESSION, HeadKind.LENGTH)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """A head of a model.

    `transform` is the activation of a dense layer between hidden states and outputs; a TOKENS head
    that has one has also a norm behind it and a bias for each token (Devlin et al. 2019), which
    `bias` gives it without one as well (Yang et al. 2019). `pooled`
    is whether a head of whole examples reads what the model's pooler makes of hidden states; a
    SENTENCE head always does. `num_classes` and `labels`, which name them if it is not empty, are
    of CLASSES alone, `attribute` is what an ATTRIBUTE head tells. A LENGTH head tells lengths from
    1 to `max_length`, the end token counted in.
    """

    kind: HeadKind = HeadKind.TOKENS
    transform: str | None = None
    bias: bool = False
    pooled: bool = False
    num_classes: int = 2
    labels: tuple[str, ...] = ()
    attribute: Attribute = Attribute.NO_REPETITION
    max_length: int = 128

    def __post_init__(self) -> None:
        check_bounds(self, num_classes=(2, MAX_VOCABULARY), max_length=(1, MAX_LENGTH))
        if self.labels and not len(self.labels) == len(set(self.labels)) == self.num_classes:
            raise UserError(
                f"labels={self.labels} of {self.num_classes} classes: needed is a name for each, "
                "or none at all: --gin.HeadConfig.labels=()"
            )
        if self.transform is not None and self.transform not in ACTIVATIONS:
            nearest = difflib.get_close_matches(self.transform, ACTIVATIONS, n=1, cutoff=0.0)[0]
            raise UserError(
                f"transform={self.transform!r} of a head is unknown, the nearest is {nearest!r}; "
                f"all are {', '.join(ACTIVATIONS)}: --gin.HeadConfig.transform=..."
            )
        if self.bias and self.kind is not HeadKind.TOKENS:
            raise UserError(
                f"a head of kind={self.kind.value!r} with bias=True: needed is False, for all but "
                "a head of tokens have one anyway."
            )
        if self.kind is HeadKind.SENTENCE and not self.pooled:
            raise UserError(
                "a head of kind='sentence' with pooled=False: needed is pooled=True, for it reads "
                "what the pooler makes of an example: --gin.HeadConfig.pooled=True"
            )
        if self.pooled and self.kind not in OF_EXAMPLES:
            raise UserError(
                f"a head of kind={self.kind.value!r} with pooled=True: needed is False, for it "
                "tells of each position, and a pooler of whole examples."
            )

    @property
    def has_token_bias(self) -> bool:
        """Whether each token has a bias."""
        return self.kind is HeadKind.TOKENS and (self.bias or self.transform is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """Of classes: `labels`, or LABEL_0, LABEL_1 ... where they have no names."""
        return self.labels or tuple(f"LABEL_{number}" for number in range(self.num_classes))

    @property
    def num_outputs(self) -> int:
        """Numbers that it gives at a position, of all kinds but TOKENS."""
        known = {
            HeadKind.CLASSES: self.num_classes,
            HeadKind.SENTENCE: 2,
            HeadKind.SPAN: 2,
            HeadKind.LENGTH: self.max_length,
        }
        return known.get(self.kind, 1)
