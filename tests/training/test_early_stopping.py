"""When a run ends by itself."""

import dataclasses
import math

import pytest

from t5x_lite.checkpoints import scores as score_log
from t5x_lite.metrics.direction import Direction
from t5x_lite.training.config import EarlyStoppingConfig
from t5x_lite.training.early_stopping import EarlyStopping


def stops_at(config: EarlyStoppingConfig, values) -> int | None:
    """The number of the evaluation that ends the run."""
    stopping = EarlyStopping(config)
    for index, value in enumerate(values):
        if stopping.update(index, {"task/score": value}):
            return index
    return None


@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        ({}, [1, 2, 3, 4, 5], None),
        ({}, [1, 2, 2, 1], 3),
        ({}, [1, 2, 2, 3, 3], None),
        ({"mode": Direction.MIN}, [3, 2, 2, 2], 3),
        ({"mode": Direction.MIN}, [1, 2, 3], 2),
        ({"min_delta": 1.0}, [1, 1.5, 2.0], 2),
        ({"min_delta": 1.0}, [1, 2.5, 4.0], None),
        ({}, [math.nan, math.nan], 1),
        ({}, [math.nan, 1, math.nan, math.nan], 3),
    ],
)
def test_two_evaluations_without_a_gain_are_the_end(settings, values, expected):
    """Counted from the best; what is not a number is no gain."""
    config = EarlyStoppingConfig(metric="task/score", patience=2, **settings)
    assert stops_at(config, [float(value) for value in values]) == expected


@pytest.mark.parametrize(("name", "expected"), [("loss_per_token", None), ("bleu", 2)])
def test_a_falling_loss_is_a_gain(name, expected):
    """And a falling score is none, unless the mode says otherwise."""
    stopping = EarlyStopping(EarlyStoppingConfig(metric=f"task/{name}", patience=2))
    stops = [stopping.update(step, {f"task/{name}": 9.0 - step}) for step in range(5)]
    assert (stops.index(True) if any(stops) else None) == expected
    best = "step 4 (5)" if expected is None else "step 0 (9)"
    assert best in stopping.reason


def test_a_run_started_again_decides_as_if_it_had_never_ended(tmp_path):
    """At every place where it may be cut: the history is in the model directory, the steps behind
    the checkpoint that it goes on from are forgotten and scored again.
    """
    config = EarlyStoppingConfig(metric="task/score", patience=3)
    values = [1.0, 4.0, 2.0, 3.0, 1.0, 5.0]
    whole = EarlyStopping(config)
    expected = [whole.update(step, {"task/score": v}) for step, v in enumerate(values)]
    assert expected == [False, False, False, False, True, False]
    for cut in range(len(values)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        for step, value in enumerate(values[: cut + 1]):
            score_log.append(folder, step, {"task/score": value})
        score_log.drop_behind(folder, cut - 1)
        again = EarlyStopping(config, score_log.read(folder))
        decisions = [
            again.update(step, {"task/score": values[step]}) for step in range(cut, len(values))
        ]
        assert decisions == expected[cut:], cut


def test_a_run_that_was_stopped_knows_it_when_it_is_started_again():
    """It must not train on until the next evaluation."""
    config = EarlyStoppingConfig(metric="task/score", patience=2)
    history = {1: {"task/score": 2.0}, 2: {"task/score": 1.0}}
    assert not EarlyStopping(config, history).is_over
    assert EarlyStopping(config, history | {3: {"task/score": 2.0}}).is_over


def test_several_scores_that_match_are_averaged():
    """A regular expression for whole names."""
    stopping = EarlyStopping(EarlyStoppingConfig(metric=".*/score", patience=1))
    assert not stopping.update(1, {"a/score": 1.0, "b/score": 3.0, "b/scores": 100.0})
    assert not stopping.update(2, {"a/score": 4.0, "b/score": 1.0, "b/scores": 0.0})
    assert stopping.update(3, {"a/score": 1.0, "b/score": 3.0, "b/scores": 200.0})
    assert "best at step 2 (2.5)" in stopping.reason


def test_scores_of_other_evaluations_and_repeated_steps_change_nothing():
    """Held-out losses may come on their own."""
    stopping = EarlyStopping(EarlyStoppingConfig(metric="task/score", patience=1))
    assert not stopping.update(1, {"task/score": 1.0})
    assert not stopping.update(2, {"task/loss_per_token": 9.0})
    assert not stopping.update(1, {"task/score": 0.0})
    assert stopping.update(3, {"task/score": 1.0})


def test_a_metric_that_nothing_gives_is_an_error_before_training():
    """Rather than a safety that never acts."""
    stopping = EarlyStopping(EarlyStoppingConfig(metric="task/acuracy"))
    with pytest.raises(ValueError, match="task/accuracy"):
        stopping.check_names(["task/accuracy"])
    stopping = EarlyStopping(EarlyStoppingConfig(metric="task/.*"))
    stopping.check_names(["task/accuracy"])


def test_a_loss_that_is_to_rise_is_an_error_before_training():
    """A run that learns would be stopped for it."""
    config = EarlyStoppingConfig(metric="task/loss_per_token", mode=Direction.MAX)
    with pytest.raises(ValueError, match="mode='min'"):
        EarlyStopping(config).check_names(["task/accuracy", "task/loss_per_token"])
    for mode in (Direction.MIN, Direction.AUTO):
        falling = dataclasses.replace(config, mode=mode)
        EarlyStopping(falling).check_names(["task/accuracy", "task/loss_per_token"])


def test_without_a_metric_nothing_stops():
    """The default."""
    stopping = EarlyStopping(EarlyStoppingConfig())
    stopping.check_names([])
    assert not any(stopping.update(step, {"task/score": 0.0}) for step in range(100))
