"""Evaluations whose model optimises what it remembers: options and texts that are given."""

import dataclasses
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import seqio

from t5x_lite import config as gin_config
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.manager import Checkpoints, Description
from t5x_lite.data import prompts
from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig, OptionScore, StatisticsConfig
from t5x_lite.evaluation.evaluate import evaluate
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.config import InferConfig, Mode
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.likelihood import bits_per_byte
from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory

TEXTS, ASKED = "hidden_states_texts", "hidden_states_asked"
VOCABULARY = seqio.ByteVocabulary(extra_ids=4)
STATES = HiddenStatesConfig(step_size=0.1, chunk=8, window=24)
LINES = ["one two three four five six", "seven eight", "nine ten eleven twelve thirteen"]


def _texts(split, shuffle_files, seed=None):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices({"targets": LINES})


def _asked(split, shuffle_files, seed=None):
    import tensorflow as tf

    rows = {"inputs": LINES, "targets": ["a"] * 3, prompts.ITEM: LINES}
    rows |= {prompts.SHOWN: tf.ragged.constant([[], [], []], dtype=tf.string)}
    rows |= {prompts.SEPARATOR: ["\n"] * 3, prompts.DRAWN: [0] * 3, prompts.TOKENS: [7] * 3}
    rows |= {prompts.OPTIONS: [["a", "b"]] * 3, prompts.RIGHT: [0] * 3, prompts.NEUTRAL: [":"] * 3}
    return tf.data.Dataset.from_tensor_slices(rows)


@pytest.fixture(scope="module", autouse=True)
def tasks():
    """Texts without inputs that have a metric of scores, and two options behind prompts."""
    feature = seqio.Feature(VOCABULARY, add_eos=False)
    for name, source, features, metric in (
        (TEXTS, _texts, {"targets": feature}, bits_per_byte),
        (ASKED, _asked, {"inputs": feature, "targets": feature}, accuracy),
    ):
        seqio.TaskRegistry.add(
            name,
            source=seqio.FunctionDataSource(source, ["test"]),
            preprocessors=[seqio.preprocessors.tokenize],
            output_features=features,
            metric_fns=[metric],
        )
    yield
    for name in (TEXTS, ASKED):
        seqio.TaskRegistry.remove(name)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """An evaluation of a language model of random parameters."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    model = tiny_model(vocab_size=264, architecture=Layout.LM)
    model = dataclasses.replace(model, prompts=dataclasses.replace(model.prompts, end_token=False))
    factory = StateFactory(model, AdafactorConfig(), ScheduleConfig(), partitioner)
    folder = tmp_path_factory.mktemp("model")
    checkpoints = Checkpoints(folder, SaveCheckpointConfig())
    state = dataclasses.replace(factory.initialize(0), step=jnp.int32(1))
    checkpoints.save(1, state, Description("", 0))
    checkpoints.close()
    return EvalConfig(
        checkpoint_path=str(folder),
        output_dir=str(tmp_path_factory.mktemp("out")),
        model=model,
        dataset=DatasetConfig(
            mixture_or_task_name=TEXTS, split="test", batch_size=8, shuffle=False, pack=False
        ),
        decoding=DecodingConfig(max_decode_length=4),
        partitioning=PartitioningConfig(num_partitions=2),
        compilation_cache=False,
        statistics=StatisticsConfig(num_resamples=100),
        hidden_states=STATES,
    )


def written(config, task):
    (file,) = (
        path
        for path in pathlib.Path(config.output_dir).glob("inference_eval/*.jsonl")
        if path.name.startswith(f"{task}-test-0")
    )
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_running_text_is_scored_with_and_without_steps(config, tmp_path):
    """A text needs no inputs, and nothing is written; the end of a text is no part of it."""
    scores = []
    for number, states in enumerate((STATES, dataclasses.replace(STATES, step_size=0.0), None)):
        own = dataclasses.replace(
            config, hidden_states=states, output_dir=str(tmp_path / str(number))
        )
        (result,) = evaluate(own, "")
        lines = written(own, TEXTS)
        scores.append([line["score"] for line in lines])
        assert [line["prediction"] for line in lines] == ["", "", ""]
        assert [line["target"] for line in lines] == LINES
        size = sum(len(line.encode()) for line in LINES)
        assert result.scores == {"bpb": pytest.approx(-sum(scores[-1]) / size / np.log(2))}
        assert not result.rates and not result.copy
    optimised, plain, whole = scores
    # The second text has two chunks: before the first is nothing, and behind the last no one is.
    assert plain[1] == pytest.approx(whole[1], rel=1e-5) and plain[0] != whole[0]
    assert optimised[1] == plain[1]
    assert all(abs(optimised[n] - plain[n]) > 1e-4 for n in (0, 2))


def test_options_are_ranked_behind_prompts_whose_states_took_steps(config, tmp_path):
    """As `OPTION_SCORE` says; a text that is to be written is refused."""
    asked = dataclasses.replace(
        config,
        dataset=dataclasses.replace(config.dataset, mixture_or_task_name=ASKED),
        output_dir=str(tmp_path),
    )
    evaluate(asked, "")
    optimised = [line["option_scores"] for line in written(asked, ASKED)]
    plain = dataclasses.replace(asked, hidden_states=None, output_dir=str(tmp_path / "plain"))
    evaluate(plain, "")
    for ours, others in zip(optimised, written(plain, ASKED), strict=True):
        assert ours.keys() == others["option_scores"].keys() == {"a", "b"}
        assert ours != others["option_scores"]
    with pytest.raises(UserError, match="needed are options to choose from"):
        evaluate(dataclasses.replace(asked, option_score=OptionScore.GENERATE), "")


@pytest.mark.parametrize(
    ("root", "recipe", "macros"),
    [
        (EvalConfig, "eval", {"EVAL_OUTPUT_DIR": "out", "SPLIT": "test"}),
        (InferConfig, "infer", {"INFER_OUTPUT_DIR": "out", "MODE": "score"}),
        (
            InferConfig,
            "infer_file",
            {"INFER_OUTPUT_DIR": "out", "MODE": "score", "INPUT_FILE": "x"},
        ),
    ],
)
def test_one_gin_file_serves_every_job_that_scores(root, recipe, macros):
    """Its numbers are macros; without it there is none; a job that writes refuses it."""
    data = {"MIXTURE_OR_TASK_NAME": "task", "TASK_FEATURE_LENGTHS": "{'targets': 8}"}
    macros = {"CHECKPOINT_PATH": "run", **({} if recipe == "infer_file" else data), **macros}

    def resolved(*files, **more):
        overrides = [
            (f"--gin.{name}", f"{name}={value}") for name, value in {**macros, **more}.items()
        ]
        return gin_config.resolve(root, [f"recipes/{recipe}.gin", *files], overrides=overrides)

    include = "evaluation/hidden_states.gin"
    found = resolved(include, STATE_STEP_SIZE=0.5, STATE_CHUNK=4, STATE_WINDOW=64).config
    assert found.hidden_states == HiddenStatesConfig(step_size=0.5, chunk=4, window=64)
    assert resolved().config.hidden_states is None
    with pytest.raises(UserError, match="STATE_STEP_SIZE"):
        resolved(include)
    if root is InferConfig:
        with pytest.raises(UserError, match=r"needed is --gin.MODE=score"):
            resolved(include, STATE_STEP_SIZE=0.5, MODE=Mode.PREDICT.value)
