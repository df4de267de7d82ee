"""Whether a student and its teacher are comparable in what the terms of a loss compare."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from t5x_lite.data.config import DatasetConfig
from t5x_lite.errors import UserError
from t5x_lite.losses.config import MatchTeacherConfig, TermConfig
from t5x_lite.losses.states_config import (
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
    StateTermConfig,
)
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import ModelConfig, StackConfig


class _Pair(NamedTuple):
    student: ModelConfig
    teacher: ModelConfig

    def stacks(self, name: str) -> tuple[StackConfig, StackConfig]:
        """Of that name; both models have the same ones."""
        return self.student.stacks[name], self.teacher.stacks[name]


def check(
    terms: Sequence[TermConfig], student: ModelConfig, teacher: ModelConfig, path: str
) -> None:
    """Refuses a teacher that a term cannot compare with the student: of its layout and vocabulary
    `compression.teacher` is sure.

    Raises:
        UserError: all that does not fit, with both sides and what to change.
    """
    pair, problems = _Pair(student, teacher), []
    for term in terms:
        for check_term in _CHECKS.get(type(term), ()):
            try:
                check_term(term, pair)
            except UserError as error:
                problems.append(f"{type(term).__name__}: {error}")
    if problems:
        raise UserError(f"the teacher {path} does not fit:\n  " + "\n  ".join(problems))


def check_rows(dataset: DatasetConfig, teacher: ModelConfig, path: str) -> None:
    """Refuses rows that are longer than the positions that a teacher has learned.

    Raises:
        UserError: with both lengths.
    """
    features, lengths = teacher.features, dataset.task_feature_lengths or {}
    if (longest := features.too_long(lengths, dataset.prompt_length)) is not None:
        raise UserError(
            f"task_feature_lengths={dict(lengths)} make rows of {longest} tokens, but the teacher "
            f"{path} has learned {features.max_length} positions: needed are rows as long at most, "
            "--gin.TASK_FEATURE_LENGTHS=..., or a teacher of longer ones."
        )


def _heads(term: MatchTeacherConfig, pair: _Pair) -> None:
    ours, theirs = (model.head(HeadKind(term.head)) for model in pair)
    if ours is None or theirs is None:
        given = " and ".join(
            ", ".join(head.kind.value for head in model.heads) or "none" for model in pair
        )
        raise UserError(
            f"head={term.head!r} of a student and a teacher whose heads are {given}: needed is a "
            "head that both have: --gin.MatchTeacherConfig.head=..."
        )
    if ours.kind is not HeadKind.TOKENS and ours.num_outputs != theirs.num_outputs:
        raise UserError(
            f"{ours.num_outputs} classes of the student and {theirs.num_outputs} of the teacher: "
            f"needed are the same: --gin.NUM_CLASSES={theirs.num_outputs}"
        )
    if ours.labels and theirs.labels and ours.labels != theirs.labels:
        raise UserError(
            f"labels {ours.labels} of the student and {theirs.labels} of the teacher: needed are "
            f'the same in one order: --gin.LABELS="{theirs.labels}"'
        )


def _stack(term: StateTermConfig, pair: _Pair) -> None:
    if term.stack not in pair.student.stacks:
        known = ", ".join(pair.student.stacks)
        raise UserError(
            f"stack={term.stack!r} of models that have {known}: "
            f"--gin.{type(term).__name__}.stack={next(iter(pair.student.stacks))!r}"
        )


def _same_width(term: StateTermConfig, pair: _Pair) -> None:
    ours, theirs = (model.embed_dim for model in pair)
    if ours != theirs:
        raise UserError(
            f"last hidden states of width {ours} of the student and {theirs} of the teacher: "
            f"needed is one width, or a loss without this term: --gin.EMBED_DIM={theirs}"
        )


def _projected_width(term: StateTermConfig, pair: _Pair) -> None:
    given = pair.student.projections
    ours = pair.student.embed_dim if given is None else given.width
    theirs = pair.teacher.embed_dim
    if ours != theirs:
        which = "no projections" if given is None else f"projections to {given.width}"
        raise UserError(
            f"states of width {pair.student.embed_dim} with {which} of the student, and of width "
            f"{theirs} of the teacher: needed is --gin.ProjectionsConfig.width={theirs}"
        )


def _layers(term: Any, pair: _Pair) -> None:
    if term.stack in pair.student.stacks:
        term.layers(*(stack.depth for stack in pair.stacks(term.stack)))


def _same_heads(term: MatchScoresConfig, pair: _Pair) -> None:
    if term.mean_over_heads or term.stack not in pair.student.stacks:
        return
    ours, theirs = (stack.block.attention.num_heads for stack in pair.stacks(term.stack))
    if ours != theirs:
        raise UserError(
            f"{ours} heads of the student and {theirs} of the teacher: needed is the same number "
            f"(--gin.NUM_HEADS={theirs}, --gin.HEAD_DIM=...), or their means: "
            "--gin.MatchScoresConfig.mean_over_heads=True"
        )


_CHECKS: Mapping[type[TermConfig], Sequence[Callable[[Any, _Pair], None]]] = {
    MatchTeacherConfig: (_heads,),
    MatchDirectionConfig: (_stack, _same_width),
    MatchInputConfig: (_stack, _projected_width),
    MatchStatesConfig: (_stack, _projected_width, _layers),
    MatchScoresConfig: (_stack, _layers, _same_heads),
}
