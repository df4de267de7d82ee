"""Decoding beside a training run, with its own parameters on its own mesh."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import EvaluationTask
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.evaluation.answers import LiveModel, decoded
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.evaluation.during_training import make_hook
from t5x_lite.evaluation.evaluate import evaluate
from t5x_lite.losses.config import LossConfig
from t5x_lite.metrics import benchmark_averages
from t5x_lite.metrics.benchmark_averages import Benchmark
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.errors import StopAsked
from t5x_lite.training.hooks import Evaluation, Hook
from t5x_lite.training.stopwatch import Stopwatch

pytestmark = pytest.mark.usefixtures("two_devices")

METRICS = {"loss": jnp.float32(1)}


def lines(path) -> list[dict]:
    """JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def hook_of(factory, tmp_path):
    """A function from settings of TrainConfig to a hook, and what it was told."""
    told = []

    def on_scores(step, scores):
        """Training writes them into the log that decides what is best."""
        told.append((step, dict(scores)))
        scores_log.append(tmp_path / "run", step, scores)

    def make(first_step=0, task="evaluation_mixture", stop_if_asked=lambda: None, **settings):
        dataset = DatasetConfig(
            mixture_or_task_name=task, split="validation", batch_size=6, shuffle=False, pack=False
        )
        config = TrainConfig(
            model_dir=str(tmp_path / "run"),
            model=factory.model,
            dataset=dataset,
            infer_eval_dataset=settings.pop("infer_eval_dataset", dataset),
            infer_eval_examples=settings.pop("infer_eval_examples", 9),
            decoding=DecodingConfig(max_decode_length=4),
            optimizer=factory.optimizer_config,
            learning_rate=factory.learning_rate,
            loss=(LossConfig(),),
            partitioning=PartitioningConfig(num_partitions=2),
            checkpoints=SaveCheckpointConfig(),
            restore=RestoreCheckpointConfig(),
            train_steps=10,
            **settings,
        )
        hook = make_hook(
            config,
            factory,
            Stopwatch(),
            first_step=first_step,
            last_step=10,
            on_scores=on_scores,
            stop_if_asked=stop_if_asked,
        )
        return hook, told

    return make


def test_it_decodes_at_its_period_and_at_the_end(hook_of, state, tmp_path):
    """Batches of 6 rows do not divide over data=4: 9 examples are each answered once all the same.
    The callback and T5X's files say the same.
    """
    hook, told = hook_of(eval_period=4)
    assert isinstance(hook, Hook)
    for step in range(1, 11):
        hook.after_step(step, state, METRICS)
    hook.close()
    assert [step for step, _ in told] == [4, 8, 10]
    assert told[0][1].keys() == set(hook.score_names)
    assert "evaluation_echo/first" in hook.score_names
    folder = tmp_path / "run" / "inference_eval"
    metrics = lines(folder / "evaluation_echo-metrics.jsonl")
    assert [line.pop("step") for line in metrics] == [4, 8, 10]
    assert {line.pop("split") for line in metrics} == {"validation"}
    assert [{f"evaluation_echo/{k}": v for k, v in line.items()} for line in metrics] == [
        scores for _, scores in told
    ]
    samples = lines(folder / "evaluation_echo-000008.jsonl")
    assert len({line["target"] for line in samples}) == len(samples) == 9
    assert list((folder / "evaluation_echo").glob("events.*"))
    best = json.loads((tmp_path / "run" / "best_checkpoints.json").read_text())
    assert best["evaluation_echo"]["best"]["step"] == 4


def test_an_evaluation_that_was_broken_off_is_made_up_for(hook_of, state, tmp_path):
    """It stops between two batches; what it, or a kill behind its last line, has left is written
    once in the end.
    """
    calls = []

    def stop_at_the_second():
        calls.append(True)
        if len(calls) == 2:
            raise StopAsked

    hook, told = hook_of(eval_period=4, stop_if_asked=stop_at_the_second)
    assert isinstance(hook, Evaluation)
    with pytest.raises(StopAsked):
        hook.after_step(4, state, METRICS)
    assert not told
    hook.after_step(4, state, METRICS)
    hook.close()
    again, told = hook_of(first_step=4, eval_period=4)
    again.make_up(4, state)
    again.close()
    assert [step for step, _ in told] == [4, 4]
    folder = tmp_path / "run" / "inference_eval"
    files = [*folder.glob("*-metrics.jsonl"), *folder.glob("*-statistics.jsonl")]
    files.append(folder / "evaluation_echo" / "metrics.jsonl")
    assert [[line["step"] for line in lines(file)] for file in files] == [[4]] * 3


def test_its_answers_are_those_of_eval_with_the_saved_parameters(
    hook_of, state, factory, model_dir, tmp_path
):
    """Same examples, same parameters: predictions and scores are equal."""
    hook, told = hook_of(infer_eval_period=8, infer_eval_examples=None)
    hook.after_step(8, state, METRICS)
    hook.close()
    job = EvalConfig(
        checkpoint_path=str(model_dir / "checkpoint_8"),
        output_dir=str(tmp_path / "eval"),
        model=factory.model,
        dataset=DatasetConfig(
            mixture_or_task_name="evaluation_echo",
            split="validation",
            batch_size=16,
            shuffle=False,
            pack=False,
        ),
        decoding=DecodingConfig(max_decode_length=4),
        partitioning=PartitioningConfig(num_partitions=1),
        compilation_cache=False,
    )
    (result,) = evaluate(job, "")
    assert {f"evaluation_echo/{k}": v for k, v in result.scores.items()} == told[0][1]
    name = "inference_eval/evaluation_echo-000008.jsonl"
    written = lines(tmp_path / "run" / name)
    assert written == lines(tmp_path / "eval" / name)
    assert len({line["prediction"] for line in written}) > 5, "answers must differ to prove it"


def always_the_same(model, parameters, step, task, *unused):
    """In place of `LiveModel.answer`."""
    return decoded(task, np.full((9, 4), 100, np.int32))


def test_a_run_that_goes_on_forgets_what_it_will_do_again(hook_of, state, tmp_path, monkeypatch):
    """Killed after step 8, going on from step 4: step 8 is there once."""
    monkeypatch.setattr(LiveModel, "answer", always_the_same)
    benchmark = Benchmark("echo_average", {"one": ("evaluation_echo/first",)})
    monkeypatch.setattr(benchmark_averages, "BENCHMARKS", (benchmark,))
    hook, _ = hook_of(eval_period=4)
    for step in (4, 8):
        hook.after_step(step, state, METRICS)
    hook.close()
    hook, _ = hook_of(first_step=4, eval_period=4)
    hook.after_step(8, state, METRICS)
    hook.close()
    folder = tmp_path / "run" / "inference_eval"
    for kind in ("metrics", "statistics"):
        written = lines(folder / f"evaluation_echo-{kind}.jsonl")
        assert [line["step"] for line in written] == [4, 8], kind
    averages = lines(folder / "benchmark_averages.jsonl")
    assert [line["step"] for line in averages] == [4, 8]
    scores = lines(folder / "evaluation_echo-metrics.jsonl")
    assert [each["echo_average"] for each in averages] == [each["first"] for each in scores]


def test_a_metric_with_a_mistake_is_found_before_training(hook_of):
    """Its own message is kept."""
    with pytest.raises(ValueError, match="evaluation_broken.*no_such_method"):
        hook_of(task="evaluation_broken")


def test_a_split_without_an_example_is_refused_before_training(hook_of, monkeypatch):
    monkeypatch.setattr(EvaluationTask, "first_example", lambda *unused: None)
    with pytest.raises(ValueError, match="'validation' of task evaluation_echo has no examples"):
        hook_of()


def test_nothing_is_decoded_where_nothing_is_asked_or_nothing_can_be_scored(hook_of, capsys):
    """The latter is said."""
    assert hook_of(infer_eval_dataset=None)[0] is None
    assert hook_of(task="evaluation_without_metrics")[0] is None
    assert "evaluation_without_metrics has no metric_fns" in capsys.readouterr().out


def test_a_full_disk_costs_files_and_not_the_run(hook_of, state, monkeypatch, capsys):
    """What the run needs, the scores, is in memory."""

    def refuse(*unused, **settings):
        raise OSError("No space left on device")

    monkeypatch.setattr(LiveModel, "answer", always_the_same)
    hook, told = hook_of(eval_period=4)
    for place in ("scoring.write_lines", "selection.write_lines", "files.put_scores"):
        monkeypatch.setattr(f"t5x_lite.evaluation.{place}", refuse)
    hook.after_step(4, state, METRICS)
    hook.close()
    assert [step for step, _ in told] == [4]
    assert "No space left on device" in capsys.readouterr().out
