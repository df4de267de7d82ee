"""What of a teacher's inside a model is matched, as frozen values (standard library only).

Each counts the real tokens of `stack` alike, packed or not. Layers are counted from 1; 0 is what
the first one reads.
"""

import dataclasses

from t5x_lite.bounds import MAX_LAYERS
from t5x_lite.errors import UserError
from t5x_lite.losses.config import TeacherTermConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateTermConfig(TeacherTermConfig):
    """A term of the hidden states of a stack, "encoder" or "decoder"."""

    stack: str = "encoder"

    def __post_init__(self) -> None:
        if self.stack not in ("encoder", "decoder"):
            raise UserError(
                f"stack={self.stack!r}: needed is 'encoder' or 'decoder': "
                f"--gin.{type(self).__name__}.stack=..."
            )
        super().__post_init__()

    @property
    def counted_stack(self) -> str:
        """The same."""
        return self.stack


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchDirectionConfig(StateTermConfig):
    """1 minus the cosine of the last hidden states of both (Sanh et al. 2019, section 2)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchInputConfig(StateTermConfig):
    """Mean squared difference of what the first layers read, the sums of all vectors of a token
    (Jiao et al. 2020, equation 9).
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerTermConfig(StateTermConfig):
    """A sum over the student's layers. `teacher_layers` says for each which one of the teacher it
    is to match; without any, of a teacher n times as deep, every n-th.
    """

    teacher_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(not 1 <= layer <= MAX_LAYERS for layer in self.teacher_layers):
            raise UserError(
                f"teacher_layers={self.teacher_layers}: needed are layers from 1 on: "
                f"--gin.{type(self).__name__}.teacher_layers=..."
            )
        super().__post_init__()

    def layers(self, ours: int, theirs: int) -> tuple[int, ...]:
        """The teacher's layer for each of `ours`, of `theirs`.

        Raises:
            UserError: there are none.
        """
        flag = f"--gin.{type(self).__name__}.teacher_layers=..."
        if not self.teacher_layers and theirs % ours:
            raise UserError(
                f"{ours} layers of the {self.stack} that trains and {theirs} of its teacher: "
                f"needed is a teacher that is so many times as deep, or one of its layers, from 1 "
                f"to {theirs}, for each of the student's: {flag}"
            )
        chosen = self.teacher_layers or tuple(theirs // ours * (layer + 1) for layer in range(ours))
        if len(chosen) != ours or max(chosen) > theirs:
            raise UserError(
                f"teacher_layers={chosen} of a teacher with {theirs} layers in its {self.stack}, "
                f"for a student with {ours}: needed is a layer from 1 to {theirs} for each of the "
                f"student's: {flag}"
            )
        return chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchStatesConfig(LayerTermConfig):
    """Mean squared difference of the hidden states behind layers (Jiao et al. 2020, equation 8),
    through the model's projections where it has some.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchScoresConfig(LayerTermConfig):
    """Mean squared difference of the scores of self-attention before their softmax, of each head
    with the teacher's (Jiao et al. 2020, equation 7). A token's is the mean over the tokens of its
    example; those that it does not see count as 0. With `mean_over_heads` it is of the means over
    heads, of which student and teacher may then have different numbers.
    """

    mean_over_heads: bool = False
