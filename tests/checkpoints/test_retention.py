"""Which checkpoints stay: the newest, the best, the pinned; and never fewer than one."""

import math
import os

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import pytest

from t5x_lite.checkpoints import manager, retention
from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.metrics.direction import Direction

SCORES = {
    1: {"a/bleu": 3.0, "b/loss": 0.1},
    2: {"a/bleu": 9.0, "b/loss": 0.9, "c/loss_per_token": 2.0},
    3: {"a/bleu": 9.0, "b/loss": 0.5, "c/loss_per_token": 1.0},
    4: {"a/bleu": 1.0},
    5: {},
}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"keep": 2}, {4, 5}),
        ({"keep": 9}, {1, 2, 3, 4, 5}),
        ({"keep": 1, "keep_best": 1, "best_metric": "a/bleu"}, {2, 5}),
        ({"keep": 1, "keep_best": 2, "best_metric": "a/bleu"}, {2, 3, 5}),
        ({"keep": 1, "keep_best": 1, "best_metric": "a"}, {5}),
        ({"keep": 1, "keep_best": 1, "best_metric": ".*loss", "best_mode": Direction.MIN}, {1, 5}),
        ({"keep": 1, "keep_best": 1, "best_metric": ".*"}, {1, 2, 3, 5}),
        ({"keep": 1, "keep_best": 1, "best_metric": ".*", "best_mode": Direction.MAX}, {2, 3, 5}),
        ({"keep": 1, "keep_best": 1, "best_metric": "c/.*", "best_mode": Direction.MAX}, {3, 5}),
    ],
    ids=str,
)
def test_the_newest_and_the_best_by_each_metric_stay(changes, kept):
    """Of equal scores the earlier, of a loss the least, and a pattern means the whole name; no mode
    makes a higher held-out loss the better one.
    """
    config = SaveCheckpointConfig(**changes)
    assert set(SCORES) - set(retention.superseded(list(SCORES), SCORES, [], config)) == kept


def test_a_score_that_is_no_number_is_never_the_best():
    """Wherever it stands."""
    config = SaveCheckpointConfig(keep=1, keep_best=1)
    scores = {1: {"a": math.nan}, 2: {"a": 1.0}, 3: {"a": math.nan}, 4: {}}
    assert retention.superseded(list(scores), scores, [], config) == [1, 3]


@hypothesis.given(
    steps=st.sets(st.integers(0, 50), min_size=1),
    scores=st.dictionaries(
        st.integers(0, 50), st.dictionaries(st.sampled_from("ab"), st.floats(0, 1)), max_size=30
    ),
    pinned=st.sets(st.integers(0, 50)),
    keep=st.integers(1, 4),
    keep_best=st.integers(0, 3),
)
def test_what_must_stay_stays_and_no_more(steps, scores, pinned, keep, keep_best):
    """Compared with the definition: step by step, who has fewer than k better ones."""
    config = SaveCheckpointConfig(keep=keep, keep_best=keep_best)
    gone = set(retention.superseded(steps, scores, pinned, config))
    for step in steps:
        newest = sum(other > step for other in steps) < keep
        best = any(
            sum(
                (-scores[other][name], other) < (-score, step)
                for other in steps
                if name in scores.get(other, {})
            )
            < keep_best
            for name, score in scores.get(step, {}).items()
        )
        assert (step in gone) != (newest or best or step in pinned)
    assert gone < steps


def test_scores_and_pins_decide_on_disk(tmp_path):
    """Also after a restart, because both lie beside the checkpoints."""

    def run(steps):
        config = SaveCheckpointConfig(keep=1, keep_best=1, best_metric="a/bleu")
        checkpoints = manager.Checkpoints(tmp_path, config)
        for step in steps:
            checkpoints.save(step, {"step": jnp.int32(step)}, manager.Description(""))
            checkpoints.wait()
            checkpoints.record(step, {"a/bleu": 10.0 - step})
            if step == 3:
                (tmp_path / "checkpoint_3" / "PINNED").write_text("")
        checkpoints.close()
        return sorted(name for name in os.listdir(tmp_path) if name.startswith("checkpoint_"))

    assert run([1, 2, 3]) == ["checkpoint_1", "checkpoint_3"]
    assert run([4, 5]) == ["checkpoint_1", "checkpoint_3", "checkpoint_5"]


def test_a_line_cut_off_by_a_kill_costs_only_itself(tmp_path):
    """Later lines about a step add to earlier ones."""
    directory = manager.absolute(tmp_path)
    scores_log.append(directory, 1, {"a/x": 1.0, "a/y": 2.0})
    scores_log.append(directory, 1, {"a/x": 3.0})
    with (tmp_path / "evaluation_scores.jsonl").open("a") as file:
        file.write('{"step": 2, "sco')
    assert scores_log.read(directory) == {1: {"a/x": 3.0, "a/y": 2.0}}
    scores_log.append(directory, 3, {"a/x": 5.0})
    assert 3 in scores_log.read(directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_best": -1}, "keep_best=-1: needed is at least 0"),
        ({"minutes": 0}, "minutes=0: needed is more than 0"),
        ({"best_metric": "("}, "no regular expression"),
        ({"keep": 0}, "keep=0: needed is at least 1"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SaveCheckpointConfig(**changes)
