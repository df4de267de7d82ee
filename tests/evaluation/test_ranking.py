"""Options of prompts are ranked by what a model says of them, by three ways to compare."""

import dataclasses
import json

import numpy as np
import pytest
import seqio

from t5x_lite.data import prompts
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import evaluation_tasks
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.evaluation import answers, ranking
from t5x_lite.evaluation.compare import compare, find
from t5x_lite.evaluation.config import EvalConfig, OptionScore, StatisticsConfig
from t5x_lite.evaluation.evaluate import evaluate
from t5x_lite.evaluation.statistics import intervals
from t5x_lite.inference.predictor import Predictor
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.likelihood import perplexity
from t5x_lite.partitioning.config import PartitioningConfig

NAME = "ranking_letters"
OPTIONS = [["a", "bcd"], ["ab", "a", "<extra_id_0>"], ["cc", "c"]]
VOCABULARY = seqio.ByteVocabulary(extra_ids=4)
SENTINEL = VOCABULARY.vocab_size - 4


def _prompts(split, shuffle_files, seed=None):
    import tensorflow as tf

    rows = {
        "inputs": [f"item {i}:" for i in range(3)],
        "targets": [options[0] for options in OPTIONS],
        prompts.ITEM: [f"item {i}:" for i in range(3)],
        prompts.SHOWN: tf.ragged.constant([[], [], []], dtype=tf.string),
        prompts.SEPARATOR: ["\n"] * 3,
        prompts.DRAWN: [0] * 3,
        prompts.TOKENS: [7] * 3,
        prompts.OPTIONS: tf.ragged.constant(OPTIONS),
        prompts.RIGHT: [0] * 3,
        prompts.NEUTRAL: ["is:"] * 3,
    }
    return tf.data.Dataset.from_tensor_slices(rows)


def _place(text, example, is_target=False):
    options = example[prompts.OPTIONS]
    return options.index(text) if text in options else -1


@pytest.fixture(scope="module", autouse=True)
def letters():
    """Three items of two or three options, of lengths that differ, and both kinds of metric."""
    seqio.TaskRegistry.add(
        NAME,
        source=seqio.FunctionDataSource(_prompts, ["test"]),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
        output_features={
            "inputs": seqio.Feature(VOCABULARY),
            "targets": seqio.Feature(VOCABULARY, add_eos=False),
        },
        metric_fns=[accuracy, perplexity],
        postprocess_fn=_place,
    )
    yield
    seqio.TaskRegistry.remove(NAME)


class Invented(Predictor):
    """Log-probabilities that depend on the texts, and not on the batch."""

    def __init__(self):
        object.__setattr__(self, "asked", [])

    def score(self, inputs, targets, *, batch_size, label, after_batch=None):
        self.asked.extend((tuple(i), tuple(t)) for i, t in zip(inputs, targets, strict=True))
        return [self.log_probs(i, t) for i, t in zip(inputs, targets, strict=True)]

    def log_probs(self, given, target):
        rng = np.random.default_rng([*map(int, given), 999, *map(int, target)])
        return -rng.exponential(size=len(target)).astype(np.float32)


@pytest.fixture
def task():
    (found,) = evaluation_tasks(NAME, split="test")
    return found


@pytest.fixture
def examples(task):
    return task.examples(split="test", task_feature_lengths=None)


@pytest.mark.parametrize("how", [OptionScore.PER_TOKEN, OptionScore.SUM, OptionScore.NEUTRAL])
def test_options_are_compared_as_is_said(how, task, examples):
    """By definition, option by option."""
    model = Invented()
    found = ranking.option_scores(model, task, examples, how, batch_size=4, label="")
    neutral = [*VOCABULARY.encode("is:"), 1]
    for example, scores, options in zip(examples, found, OPTIONS, strict=True):
        for option, score in zip(options, scores, strict=True):
            ids = VOCABULARY.encode(option)
            own = model.log_probs(example["inputs"], ids).astype(np.float64)
            expected = {
                OptionScore.PER_TOKEN: own.mean(),
                OptionScore.SUM: own.sum(),
                OptionScore.NEUTRAL: own.sum() - model.log_probs(neutral, ids).sum(dtype=float),
            }[how]
            assert score == pytest.approx(expected, rel=1e-6)


def test_a_neutral_prompt_is_asked_of_each_option_once(task, examples):
    model = Invented()
    ranking.option_scores(model, task, examples, OptionScore.NEUTRAL, batch_size=4, label="")
    distinct = {option for options in OPTIONS for option in options}
    assert len(model.asked) == sum(map(len, OPTIONS)) + len(distinct)


def test_a_sentinel_ahead_of_an_option_is_not_counted():
    """It is given: every option begins with it."""
    log_probs = np.array([-50.0, -1.0, -3.0], np.float32)
    sentinels = range(SENTINEL, VOCABULARY.vocab_size)
    assert ranking._chosen(log_probs, [SENTINEL, 5, 6], sentinels).tolist() == [-1, -3]
    assert ranking._chosen(log_probs, [5, SENTINEL, 6], sentinels).tolist() == [-50, -1, -3]


@pytest.fixture
def config(factory, model_dir, tmp_path) -> EvalConfig:
    return EvalConfig(
        checkpoint_path=str(model_dir),
        output_dir=str(tmp_path / "one"),
        model=factory.model,
        dataset=DatasetConfig(
            mixture_or_task_name=NAME, split="test", batch_size=8, shuffle=False, pack=False
        ),
        decoding=DecodingConfig(max_decode_length=4),
        partitioning=PartitioningConfig(num_partitions=2),
        compilation_cache=False,
        statistics=StatisticsConfig(num_resamples=100),
    )


def test_an_evaluation_ranks_and_scores(config, tmp_path, monkeypatch):
    """Accuracy of the choices and perplexity of the targets, both with intervals; another mesh and
    batch size give the same; kept, compared.
    """
    (result,) = evaluate(config, "")
    (file,) = (tmp_path / "one" / "inference_eval").glob(f"{NAME}-test-0*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert result.scores.keys() == result.intervals.keys() == {"accuracy", "perplexity"}
    scores = [line["score"] for line in lines]
    assert result.scores["perplexity"] == pytest.approx(np.exp(-np.mean(scores)))
    for line, options in zip(lines, OPTIONS, strict=True):
        assert list(line["option_scores"]) == options
        best = max(line["option_scores"], key=line["option_scores"].get)
        assert line["prediction"] == options.index(best)
    meshed = dataclasses.replace(
        config,
        output_dir=str(tmp_path / "two"),
        partitioning=PartitioningConfig(num_partitions=1),
        dataset=dataclasses.replace(config.dataset, batch_size=16),
    )
    (other,) = evaluate(meshed, "")
    assert other.scores["accuracy"] == result.scores["accuracy"]
    logs = [np.log(each.scores["perplexity"]) for each in (result, other)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    both = [find(str(tmp_path / name)) for name in ("one", "two")]
    (comparisons,) = compare(*both, config.statistics).values()
    assert [each.metric for each in comparisons] == ["accuracy", "perplexity"]
    assert comparisons[0].difference == 0
    monkeypatch.setattr(answers, "_arrays", None)
    assert evaluate(config, "")[0].scores == result.scores
    with pytest.raises(TypeError, match="not callable"):
        evaluate(dataclasses.replace(config, option_score=OptionScore.SUM), "")


def test_perplexity_is_that_of_words():
    """exp of the mean, whatever the targets; its interval is drawn from sums."""
    scores = np.log([0.5, 0.125]).tolist()
    assert perplexity(["a", "b"], scores) == {"perplexity": pytest.approx(4.0)}
    found = intervals([perplexity], ["a"] * 50, scores * 25, StatisticsConfig(num_resamples=200))
    assert 2 < found["perplexity"].low < 4 < found["perplexity"].high < 8
    with pytest.raises(UserError, match="2 targets"):
        perplexity(["a", "b"], [0.0])
