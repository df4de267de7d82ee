"""What a loss is, as frozen values (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import BELOW_ONE, FINITE, POSITIVE, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.features.config import Attribute, SpecialTokens


class LossNormalization(enum.Enum):
    """What the summed token loss is divided by, besides a plain number."""

    NUM_REAL_TARGET_TOKENS = "NUM_REAL_TARGET_TOKENS"
    NUM_TOTAL_TARGET_TOKENS = "NUM_TOTAL_TARGET_TOKENS"
    AVERAGE_PER_SEQUENCE = "AVERAGE_PER_SEQUENCE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TermConfig:
    """A summand of what training minimizes; each is a subclass with a row in `losses/table.py`.

    It is multiplied by `weight`. `normalizing_factor` is a number to divide the sum over tokens by,
    a rule, or None for the sum itself, T5X's default; ours is the mean per real target token.
    """

    weight: float = 1.0
    normalizing_factor: float | LossNormalization | None = LossNormalization.NUM_REAL_TARGET_TOKENS

    def __post_init__(self) -> None:
        check_bounds(self, weight=(POSITIVE, FINITE))
        factor = self.normalizing_factor
        if isinstance(factor, float | int) and not POSITIVE <= factor <= FINITE:
            raise UserError(
                f"normalizing_factor={factor}: needed is a positive number or one of "
                f"{', '.join(rule.name for rule in LossNormalization)}: "
                "--gin.LOSS_NORMALIZING_FACTOR=NUM_REAL_TARGET_TOKENS"
            )

    @property
    def counted_stack(self) -> str | None:
        """The stack whose tokens count; None is that of targets."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherTermConfig(TermConfig):
    """A term that asks a frozen teacher: 0 for a copy of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig(TermConfig):
    """Token cross-entropy plus z-loss (1e-4 log^2 Z, training only), label smoothing 0 in T5."""

    z_loss: float = 1e-4
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_bounds(self, z_loss=(0.0, FINITE), label_smoothing=(0.0, BELOW_ONE))
        super().__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassesLossConfig(TermConfig):
    """Cross-entropy of the class of each example, which a head of whole examples tells: "classes",
    or "sentence" (Devlin et al. 2019, section 3.1). The default normalization is the mean over
    examples; an example counts as much as `class_weights` say of its class, all alike without.
    """

    head: str = "classes"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self, label_smoothing=(0.0, BELOW_ONE))
        if any(not POSITIVE <= weight <= FINITE for weight in self.class_weights):
            raise UserError(
                f"class_weights={self.class_weights}: needed is a positive number for each class, "
                "or none at all: --gin.CLASS_WEIGHTS=()"
            )
        if self.head not in ("classes", "sentence"):
            raise UserError(
                f"head={self.head!r} tells no classes; needed is 'classes' or 'sentence': "
                "--gin.ClassesLossConfig.head=..."
            )
        super().__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegressionLossConfig(TermConfig):
    """Squared error of the number of each example; the default is the mean over examples."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplacedTokensLossConfig(TermConfig):
    """Whether each token was replaced, as a binary cross-entropy (Clark et al. 2020, section 2):
    of all tokens, or with `weighted_only` of those that have a loss weight, an ablation of theirs.
    """

    weighted_only: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeLossConfig(TermConfig):
    """Whether targets have an `attribute`, as a binary cross-entropy behind each of their tokens
    (Yoshida et al. 2024, section 4): targets are samples of the model that learns to tell it.
    """

    attribute: Attribute = Attribute.NO_REPETITION
    special: SpecialTokens = dataclasses.field(default_factory=SpecialTokens)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanLossConfig(TermConfig):
    """Mean of the cross-entropies of an answer's first and last position among all of its example
    (Devlin et al. 2019, section 4.2); examples without a span cost nothing.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchTeacherConfig(TeacherTermConfig):
    """How far the model's tokens are from a teacher's: the divergence of the two distributions,
    both softened by `temperature`, times its square (Hinton et al. 2015, section 2).

    With another `head` it is of whole examples: of their "classes" or "sentence" the divergence, of
    "regression" the squared difference, which knows no temperature.
    """

    temperature: float = 1.0
    head: str = "tokens"

    def __post_init__(self) -> None:
        check_bounds(self, temperature=(POSITIVE, FINITE))
        known = ("tokens", "classes", "sentence", "regression")
        if self.head not in known:
            raise UserError(
                f"head={self.head!r} is not matched to a teacher's; needed is one of "
                f"{', '.join(known)}: --gin.MatchTeacherConfig.head=..."
            )
        super().__post_init__()
