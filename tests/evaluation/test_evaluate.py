"""The evaluation job with a random model, on 8 simulated devices."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import manager
from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.evaluation import answers, decodes, files
from t5x_lite.evaluation.config import EvalConfig, StatisticsConfig
from t5x_lite.evaluation.evaluate import evaluate, make_table
from t5x_lite.evaluation.report import report
from t5x_lite.evaluation.scoring import ScoredTask, Writing
from t5x_lite.evaluation.statistics import intervals
from t5x_lite.inference.predictor import Predictor
from t5x_lite.metrics import benchmark_averages
from t5x_lite.metrics.benchmark_averages import Benchmark
from t5x_lite.partitioning.config import PartitioningConfig

pytestmark = pytest.mark.usefixtures("two_devices")


def lines(path) -> list[dict]:
    """JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def config(factory, model_dir, tmp_path) -> EvalConfig:
    """All 35 examples in batches of 16: the last batch is short."""
    return EvalConfig(
        checkpoint_path=str(model_dir),
        output_dir=str(tmp_path / "eval"),
        model=factory.model,
        dataset=DatasetConfig(
            mixture_or_task_name="evaluation_mixture",
            split="validation",
            batch_size=16,
            shuffle=False,
            pack=False,
        ),
        decoding=DecodingConfig(max_decode_length=4),
        partitioning=PartitioningConfig(num_partitions=2),
        compilation_cache=False,
    )


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Notes of what would be decoded; nothing is, the answers are letters and end tokens."""
    notes = []

    def note(predictor, examples, dataset, *, label, after_batch):
        notes.append(label)
        return np.array([[100 + index, 1] for index in range(len(examples))], np.int32)

    monkeypatch.setattr(answers, "_decode", note)
    monkeypatch.setattr(answers.RestoredModel, "_predictor", object.__new__(Predictor))
    return notes


def test_an_evaluation_writes_scores_with_what_makes_them_trustworthy(config, tmp_path, capsys):
    """T5X's files, and beside them split, decoding, intervals and rates."""
    (result,) = evaluate(config, "gin text")
    folder = tmp_path / "eval" / "inference_eval"
    written = lines(folder / "evaluation_echo-000008.jsonl")
    assert len({line["target"] for line in written}) == len(written) == 35
    (scores,) = lines(folder / "evaluation_echo-metrics.jsonl")
    assert scores == {"step": 8, "split": "validation", **result.scores}
    assert scores.keys() == {"step", "split", "accuracy", "first", "second"}
    (line,) = lines(folder / "evaluation_echo-statistics.jsonl")
    assert line["decoding"]["max_decode_length"] == 4
    assert (line["step"], line["split"], line["num_examples"]) == (8, "validation", 35)
    assert line["intervals"].keys() == result.scores.keys()
    assert line["rates"].keys() == {"sentinel_rate", "empty_rate", "truncated_rate"}
    # A random model does not end its answers: it must be said.
    assert line["rates"]["truncated_rate"] == 100.0
    printed = capsys.readouterr().out
    assert "95 % interval" in printed
    assert "WARNING: evaluation_echo: 100.0 % of the answers did not end" in printed
    assert (tmp_path / "eval" / "eval_config.gin").read_text() == "gin text"


def test_answers_are_the_same_whatever_the_batch_and_each_example_has_one(config):
    """Five batches of 8, the last one short, and one of 64 that is half filling."""
    found = []
    for size in (8, 64):
        dataset = dataclasses.replace(config.dataset, batch_size=size)
        job = dataclasses.replace(
            config, dataset=dataset, reuse_decodes=False, output_dir=f"{config.output_dir}/{size}"
        )
        evaluate(job, "")
        found.append(
            [
                line["prediction"]
                for line in lines(
                    manager.absolute(job.output_dir) / "inference_eval/evaluation_echo-000008.jsonl"
                )
            ]
        )
    assert found[0] == found[1]
    assert len(found[0]) == 35
    assert len(set(found[0])) > 5, "answers must differ to prove anything"


def test_a_second_evaluation_decodes_nothing(config, decoded, capsys):
    """Other statistics, another mesh and another batch size need no new answers; it says so."""
    first = evaluate(config, "")
    assert len(decoded) == 1
    again = dataclasses.replace(
        config,
        statistics=StatisticsConfig(num_resamples=10),
        partitioning=PartitioningConfig(num_partitions=1),
        dataset=dataclasses.replace(config.dataset, batch_size=8),
    )
    second = evaluate(again, "")
    assert len(decoded) == 1
    assert "were decoded before" in capsys.readouterr().out
    assert second[0].scores == first[0].scores
    assert second[0].rates == first[0].rates
    assert second[0].intervals["first"].num_resamples == 10


def test_the_same_answers_are_not_added_twice(config, decoded, tmp_path):
    """Not to scores, statistics or averages; other answers at the same step are, and a metric that
    was changed takes the place of what it gave before.
    """
    folder = tmp_path / "eval" / "inference_eval"
    first, _ = evaluate(config, ""), evaluate(config, "")
    assert len(lines(folder / "evaluation_echo-metrics.jsonl")) == 1
    assert len(lines(folder / "evaluation_echo-statistics.jsonl")) == 1
    events = list((folder / "evaluation_echo").glob("events.*"))
    assert len(events) == 1
    files.put_scores(
        manager.absolute(folder), "evaluation_echo", {"step": 8, "first": 1}, instead=True
    )
    evaluate(config, "")
    (line,) = lines(folder / "evaluation_echo-metrics.jsonl")
    assert line["first"] == first[0].scores["first"]
    evaluate(dataclasses.replace(config, num_examples=34), "")
    assert len(lines(folder / "evaluation_echo-metrics.jsonl")) == 2
    assert len(lines(folder / "evaluation_echo-statistics.jsonl")) == 2


def test_each_split_has_its_own_files(config, decoded, tmp_path, capsys):
    """Those of `validation` have T5X's names; the table says which it is."""
    evaluate(config, "")
    split = dataclasses.replace(config.dataset, split="train[:50%]")
    evaluate(dataclasses.replace(config, dataset=split), "")
    folder = tmp_path / "eval" / "inference_eval"
    assert [line["split"] for line in lines(folder / "evaluation_echo-metrics.jsonl")] == [
        "validation"
    ]
    name = "evaluation_echo-train__50__"
    assert [line["split"] for line in lines(folder / f"{name}-metrics.jsonl")] == ["train[:50%]"]
    assert (folder / f"{name}-000008.jsonl").exists()
    assert list((folder / name).glob("events.*"))
    printed = capsys.readouterr().out
    assert re.search(r"evaluation_echo +. validation +. accuracy", printed)
    assert re.search(r"evaluation_echo +. train\[:50%\] +. accuracy", printed)


def test_metrics_without_time_for_an_interval_are_named_once(echo, tmp_path):
    """Each evaluation of a run would say it again."""
    scored = ScoredTask(echo, echo.examples(split="validation", task_feature_lengths=None))
    given = answers.decoded(echo, np.ones((len(scored.examples), 1), np.int32))
    writing = Writing(manager.absolute(tmp_path), "validation", DecodingConfig())
    hurried = StatisticsConfig(max_seconds=0)
    first, second = (
        scored.result(given, step=step, writing=writing, statistics=hurried) for step in (1, 2)
    )
    assert (first.intervals, first.scores.keys()) == ({}, {"accuracy", "first", "second"})
    said = "no interval of accuracy, first, second, which is too slow to be resampled in 0 s"
    assert [said in " ".join(each.warnings) for each in (first, second)] == [True, False]
    make_table([first], 0.95)


@pytest.mark.parametrize(
    "change",
    [
        {"decoding": DecodingConfig(max_decode_length=3)},
        {"num_examples": 34},
        {"checkpoint_path": "checkpoint_4"},
        {"reuse_decodes": False},
    ],
)
def test_what_may_change_an_answer_is_decoded_anew(config, model_dir, decoded, change):
    """Other settings, examples, parameters."""
    evaluate(config, "")
    if "checkpoint_path" in change:
        change = {"checkpoint_path": str(model_dir / change["checkpoint_path"])}
    evaluate(dataclasses.replace(config, **change), "")
    assert len(decoded) == 2


def test_a_checkpoint_written_again_is_another_one(config, model_dir, state, tmp_path):
    """Under the same path and step."""
    copy = tmp_path / "copy"
    shutil.copytree(model_dir / "checkpoint_8", copy / "checkpoint_8")
    job = dataclasses.replace(config, checkpoint_path=str(copy))
    examples = [{"inputs": np.arange(5)}]
    first = decodes.file_name(job, "task", 8, examples, None)
    assert first == decodes.file_name(config, "task", 8, examples, None), "a copy is the same"
    assert first == decodes.file_name(job, "task", 8, examples, None)
    shutil.rmtree(copy / "checkpoint_8")
    checkpoints = manager.Checkpoints(copy, SaveCheckpointConfig())
    other = jax.tree.map(lambda leaf: leaf + 1, state.parameters)
    other = dataclasses.replace(state, step=np.int32(8), parameters=other)
    checkpoints.save(8, other, manager.Description("", 0))
    checkpoints.close()
    assert first != decodes.file_name(job, "task", 8, examples, None)


def test_a_damaged_file_of_answers_is_decoded_anew(config, decoded, tmp_path):
    """It never stands in the way."""
    evaluate(config, "")
    (kept,) = (tmp_path / "eval" / "decodes").iterdir()
    kept.write_bytes(kept.read_bytes()[:-40])
    evaluate(config, "")
    assert len(decoded) == 2


def test_every_task_is_evaluated_at_its_own_best_checkpoint(config, decoded, model_dir, tmp_path):
    """CHECKPOINT_PATH=MODEL_DIR/best."""
    copy = tmp_path / "run"
    shutil.copytree(model_dir, copy)
    scores_log.append(copy, 4, {"evaluation_echo/accuracy": 5.0})
    scores_log.append(copy, 8, {"evaluation_echo/accuracy": 4.0})
    (result,) = evaluate(dataclasses.replace(config, checkpoint_path=f"{copy}/best"), "")
    assert result.step == 4


def test_a_benchmark_is_averaged_where_all_its_tasks_are_there(
    config, decoded, monkeypatch, tmp_path, capsys
):
    """Printed, written beside the scores and reported; of another benchmark it says what lacks."""
    whole = Benchmark(
        "echo_average",
        {
            "one": ("evaluation_echo/first",),
            "two": ("evaluation_echo/second", "evaluation_echo/accuracy"),
        },
    )
    part = Benchmark("part_average", {**whole.tasks, "three": ("evaluation_other/accuracy",)})
    monkeypatch.setattr(benchmark_averages, "BENCHMARKS", (whole, part))
    (result,) = evaluate(config, "")
    scores = result.scores
    expected = (scores["first"] + (scores["second"] + scores["accuracy"]) / 2) / 2
    assert expected > 0
    folder = tmp_path / "eval" / "inference_eval"
    (line,) = lines(folder / "benchmark_averages.jsonl")
    average = line.pop("echo_average")
    assert average == pytest.approx(expected)
    assert line == {"step": 8, "split": "validation"}
    assert list((folder / "benchmark_averages").glob("events.*"))
    printed = capsys.readouterr().out
    assert re.search(rf"echo_average +. validation +. mean of tasks +. +{average:.2f}", printed)
    assert "no part_average: it needs also evaluation_other/accuracy" in printed
    report([config.output_dir])
    row = f"| echo_average | validation | mean of tasks | - | {average:.2f} |"
    assert row in (tmp_path / "eval" / "report.md").read_text()
    assert "echo_average" in (tmp_path / "eval" / "report.html").read_text()


def test_nothing_to_evaluate_is_an_error(config):
    """A task without metrics has no score."""
    dataset = dataclasses.replace(config.dataset, mixture_or_task_name="evaluation_without_metrics")
    with pytest.raises(ValueError, match="metric_fns"):
        evaluate(dataclasses.replace(config, dataset=dataset), "")


def test_intervals_of_a_task_are_those_of_its_metrics(echo):
    """A metric function of several values has an interval for each."""
    targets = ["ah", "bi", "cj"] * 10
    predictions = ["ai", "bi", "xx"] * 10
    found = intervals(echo.metrics, targets, predictions, StatisticsConfig(num_resamples=50))
    assert found.keys() == {"accuracy", "first", "second"}
    assert found["first"].low < 200 / 3 < found["first"].high
