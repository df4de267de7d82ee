"""Which checkpoint is taken for which task."""

import json
import math

import pytest

from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.evaluation.selection import best_steps, checkpoint_paths, write_best

HISTORY = {
    100: {"a/f1": 50.0, "a/exact": 10.0, "b/bleu": 3.0, "c/loss_per_token": 2.0},
    200: {"a/f1": 40.0, "a/exact": 30.0, "b/bleu": 9.0, "c/loss_per_token": 1.5},
    300: {"a/f1": 65.0, "a/exact": 5.0, "b/bleu": 9.0, "c/loss_per_token": 1.7},
}


def test_each_task_has_its_own_best_step():
    """The mean of its metrics, the earlier of equals, the least loss where there is no more."""
    best = best_steps(HISTORY)
    assert {task: each.step for task, each in best.items()} == {"a": 200, "b": 200, "c": 200}
    assert best["a"].value == 35.0
    assert best["a"].scores == {"f1": 40.0, "exact": 30.0}


def test_a_step_without_all_metrics_and_a_score_that_is_no_number_do_not_count():
    """Neither may win by accident."""
    history = HISTORY | {400: {"a/f1": 99.0}, 500: {"b/bleu": math.nan}}
    assert {task: each.step for task, each in best_steps(history).items()}["a"] == 200
    assert best_steps(history)["b"].step == 200


def test_losses_do_not_count_beside_decoded_metrics():
    """They are on another scale."""
    history = {1: {"a/f1": 1.0, "a/loss_per_token": 0.1}, 2: {"a/f1": 2.0, "a/loss_per_token": 9.0}}
    assert best_steps(history)["a"].step == 2


def test_of_an_error_rate_the_least_is_best():
    """Also beside a score of which the most is."""
    history = {1: {"a/wer": 9.0}, 2: {"a/wer": 4.0}, 3: {"a/wer": 7.0}}
    assert best_steps(history)["a"].step == 2
    both = {step: scores | {"a/bleu": 1.0} for step, scores in history.items()}
    assert best_steps(both)["a"].step == 2
    assert best_steps(both)["a"].value == -1.5


@pytest.fixture
def model_dir(tmp_path):
    """Scores of three steps; the checkpoint of the second is gone."""
    for step, scores in HISTORY.items():
        scores_log.append(tmp_path, step, scores)
    for step in (100, 300):
        (tmp_path / f"checkpoint_{step}").mkdir()
    return tmp_path


def test_best_means_each_tasks_best_checkpoint_that_is_kept(model_dir, capsys):
    """And says so when a better one is gone."""
    paths = checkpoint_paths(f"{model_dir}/best", ["a", "b"])
    assert paths == {
        "a": f"{model_dir}/checkpoint_300",
        "b": f"{model_dir}/checkpoint_300",
    }
    assert "step 200 (exact 30, f1 40), whose checkpoint is gone" in capsys.readouterr().out


def test_any_other_path_is_itself(model_dir):
    """Also a folder that is called so."""
    assert checkpoint_paths(str(model_dir), ["a"]) == {"a": str(model_dir)}
    (model_dir / "best").mkdir()
    assert checkpoint_paths(f"{model_dir}/best", ["a"]) == {"a": f"{model_dir}/best"}


def test_a_task_without_scores_is_an_error_that_says_what_there_is(model_dir):
    """And how scores come about."""
    with pytest.raises(ValueError, match="scores of a, b, c"):
        checkpoint_paths(f"{model_dir}/best", ["a", "d"])


def test_the_choice_is_written_down(model_dir):
    """For people and scripts."""
    write_best(model_dir)
    written = json.loads((model_dir / "best_checkpoints.json").read_text())
    assert written["b"]["best"]["step"] == 200
    assert written["b"]["best_kept"]["step"] == 300
