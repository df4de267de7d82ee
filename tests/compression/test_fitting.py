"""A teacher that does not fit a term is refused with both sides and what to change."""

import dataclasses

import pytest

from t5x_lite.compression import fitting
from t5x_lite.data.config import DatasetConfig
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import LossConfig, MatchTeacherConfig
from t5x_lite.losses.states_config import (
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
)
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig, LearnedPositionsConfig
from t5x_lite.model.projections_config import ProjectionsConfig
from t5x_lite.testing import tiny_model

STUDENT = tiny_model(32, Layout.ENCODER)
INSIDE = (MatchInputConfig(), MatchStatesConfig(), MatchScoresConfig())


def changed(num_layers=2, num_heads=8, embed_dim=32, **fields):
    """The student's model, otherwise."""

    def of_stack(_, stack):
        attention = dataclasses.replace(stack.block.attention, num_heads=num_heads)
        block = dataclasses.replace(stack.block, attention=attention)
        return dataclasses.replace(stack, num_layers=num_layers, block=block)

    model = dataclasses.replace(STUDENT, embed_dim=embed_dim, **fields)
    return model.with_stacks(of_stack)


def with_head(num_classes=2, labels=()):
    head = HeadConfig(kind=HeadKind.CLASSES, num_classes=num_classes, labels=labels)
    return changed(heads=(head,))


@pytest.mark.parametrize(
    ("terms", "student", "teacher"),
    [
        ((MatchTeacherConfig(), MatchDirectionConfig(), *INSIDE), STUDENT, changed(num_layers=6)),
        (INSIDE, changed(projections=ProjectionsConfig(width=48)), changed(embed_dim=48)),
        ((MatchScoresConfig(mean_over_heads=True),), STUDENT, changed(num_heads=4)),
        ((MatchTeacherConfig(head="classes"),), with_head(3), with_head(3)),
        ((MatchStatesConfig(teacher_layers=(1, 3)),), STUDENT, changed(num_layers=3)),
    ],
)
def test_what_fits_is_taken(terms, student, teacher):
    fitting.check((LossConfig(), *terms), student, teacher, "there")


@pytest.mark.parametrize(
    ("term", "student", "teacher", "message"),
    [
        (
            MatchDirectionConfig(),
            STUDENT,
            changed(embed_dim=48),
            "width 32 of the student and 48 of the teacher: .* --gin.EMBED_DIM=48",
        ),
        (
            MatchStatesConfig(),
            STUDENT,
            changed(embed_dim=48),
            "no projections of the student, and of width 48 .* --gin.ProjectionsConfig.width=48",
        ),
        (
            MatchInputConfig(),
            changed(projections=ProjectionsConfig(width=40)),
            changed(embed_dim=48),
            "projections to 40 of the student, .* --gin.ProjectionsConfig.width=48",
        ),
        (MatchStatesConfig(), STUDENT, changed(num_layers=5), "2 layers .* and 5 of its teacher"),
        (
            MatchScoresConfig(teacher_layers=(2, 7)),
            STUDENT,
            changed(num_layers=5),
            r"teacher_layers=\(2, 7\) of a teacher with 5 layers",
        ),
        (
            MatchScoresConfig(),
            STUDENT,
            changed(num_heads=4),
            "8 heads of the student and 4 of the teacher: .*mean_over_heads=True",
        ),
        (
            MatchStatesConfig(stack="decoder"),
            STUDENT,
            STUDENT,
            "stack='decoder' of models that have encoder: .*stack='encoder'",
        ),
        (
            MatchTeacherConfig(head="classes"),
            with_head(),
            STUDENT,
            "heads are classes and tokens: needed is a head that both have",
        ),
        (
            MatchTeacherConfig(head="classes"),
            with_head(2),
            with_head(3),
            "2 classes of the student and 3 of the teacher: .*--gin.NUM_CLASSES=3",
        ),
        (
            MatchTeacherConfig(head="classes"),
            with_head(labels=("a", "b")),
            with_head(labels=("b", "a")),
            r"labels \('a', 'b'\) of the student and \('b', 'a'\) of the teacher",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(term, student, teacher, message):
    with pytest.raises(UserError, match=message):
        fitting.check((term,), student, teacher, "there")


def test_all_is_said_at_once():
    with pytest.raises(UserError, match="the teacher there does not fit:") as caught:
        fitting.check(INSIDE, STUDENT, changed(3, 4, 48), "there")
    names = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert names == [
        "MatchInputConfig",
        "MatchStatesConfig",
        "MatchStatesConfig",
        "MatchScoresConfig",
        "MatchScoresConfig",
    ]


def test_rows_have_no_more_positions_than_a_teacher_has_learned():
    """It would read all tokens behind its last position as if they stood there."""
    learned = LearnedPositionsConfig(max_length=8)
    teacher = STUDENT.with_stacks(lambda _, stack: dataclasses.replace(stack, positions=learned))

    def rows_of(lengths):
        return DatasetConfig(
            mixture_or_task_name="unused", task_feature_lengths=lengths, batch_size=8
        )

    fitting.check_rows(rows_of({"inputs": 8}), teacher, "there")
    fitting.check_rows(rows_of(None), teacher, "there")
    fitting.check_rows(rows_of({"inputs": 9}), STUDENT, "there")
    with pytest.raises(UserError, match="rows of 9 tokens, but the teacher there has learned 8 po"):
        fitting.check_rows(rows_of({"inputs": 9}), teacher, "there")
