"""Jobs from the command line to their files, in one process on 8 simulated devices."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import description, manager
from t5x_lite.training.errors import StopAsked
from t5x_lite.training.interrupts import Interrupts

pytestmark = pytest.mark.usefixtures("two_devices")

MODEL = ["--gin_file=models/t5_1_0/tiny.gin", "--gin.VOCAB_SIZE=384", "--gin.NUM_PARTITIONS=2"]
TASK = ["--module_import=toy_tasks", "--gin.MIXTURE_OR_TASK_NAME=toy_copy"]
LENGTHS = "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}"
# The same batch and length wherever answers are decoded, so that it is compiled once.
DECODE = "--gin.MAX_DECODE_LENGTH=7"
TRAIN = [
    "train",
    *MODEL,
    "--gin_file=recipes/pretrain.gin",
    *TASK,
    LENGTHS,
    "--gin.BATCH_SIZE=8",
    "--gin.LEARNING_RATE_FACTORS=constant",
    "--gin.LEARNING_RATE=0.03",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_PERIOD=1000",
    "--gin.EVAL_STEPS=2",
    "--gin.LOG_PERIOD=2",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    """--module_import finds toy_tasks from the working directory, as users' modules are."""
    monkeypatch.chdir(pathlib.Path(__file__).parent)


def run(*words) -> None:
    """A command that must succeed."""
    assert cli.main([str(word) for word in words]) == 0


def lines(path) -> list[dict]:
    """JSON lines."""
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


@pytest.mark.parametrize(
    "architecture",
    [
        "encoder_decoder",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("shared", "lm", "prefix_lm")),
    ],
)
def test_an_architecture_trains_and_evaluates_through_the_same_commands(architecture, tmp_path):
    """One gin file more; the held-out loss of a task that any of them can learn falls."""
    chosen = f"--gin_file=models/architectures/{architecture}.gin"
    run(
        *TRAIN,
        chosen,
        f"--gin.MODEL_DIR={tmp_path}",
        "--gin.TRAIN_STEPS=30",
        "--gin.EVAL_PERIOD=15",
    )
    losses = [
        line["loss_per_token"] for line in lines(tmp_path / "training_eval/toy_copy/metrics.jsonl")
    ]
    first = lines(tmp_path / "train/metrics.jsonl")[0]["loss_per_token"]
    assert losses[1] < losses[0] < first, "the loss did not fall"
    # The checkpoint says the rest.
    run(
        "eval",
        f"--gin.CHECKPOINT_PATH={tmp_path}",
        "--gin.NUM_PARTITIONS=2",
        "--gin.NUM_EXAMPLES=5",
        "--gin.BATCH_SIZE=8",
        DECODE,
        "--gin.COMPILATION_CACHE=False",
    )
    assert len(lines(tmp_path / "inference_eval/toy_copy-000030.jsonl")) == 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model directory of eight steps, with a checkpoint at four."""
    directory = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        run(
            *TRAIN,
            f"--gin.MODEL_DIR={directory}",
            "--gin.TRAIN_STEPS=8",
            "--gin.CHECKPOINT_PERIOD=4",
            "--gin.MIXTURE_OR_TASK_NAME=toy_both",
            "--gin.train_eval/DatasetConfig.mixture_or_task_name=toy_some_held_out",
        )
    return directory


def test_a_model_directory_holds_what_users_look_for(trained):
    """T5X's layout, tags included."""
    assert {path.name for path in trained.iterdir()} >= {
        "checkpoint_4",
        "checkpoint_8",
        "config.gin",
        "model-info.txt",
        "train",
        "training_eval",
    }
    assert list((trained / "train").glob("events.*"))
    # The third task that is to be held out has no example.
    assert {path.name for path in (trained / "training_eval").iterdir()} == {
        "toy_copy",
        "toy_double",
    }
    newest = lines(trained / "train/metrics.jsonl")[-1]
    assert newest["step"] == 8
    assert newest.keys() >= {
        "loss",
        "loss_per_token",
        "accuracy",
        "learning_rate",
        "timing/steps_per_second",
        "timing/target_tokens_per_second",
        "non_padding_fraction/overall",
    }
    assert "token_embedder/embedding" in (trained / "model-info.txt").read_text()


def parameters_of(directory):
    """The newest checkpoint's parameters, as NumPy arrays."""
    checkpoint = manager.find(directory)
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    from t5x_lite import config
    from t5x_lite.model import transformer
    from t5x_lite.training.config import TrainConfig

    resolved = config.resolve(TrainConfig, [str(directory / "config.gin")])
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        transformer.abstract_parameters(resolved.config.model),
    )
    return jax.device_get(manager.restore(checkpoint, {"parameters": abstract})["parameters"])


@pytest.mark.slow
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(trained, tmp_path):
    """Four steps, then the same command again with eight: bit for bit the run of eight, because
    batches and dropout are functions of the seed and the step.
    """
    for steps in (4, 8):
        run(
            *TRAIN,
            f"--gin.MODEL_DIR={tmp_path}",
            f"--gin.TRAIN_STEPS={steps}",
            "--gin.CHECKPOINT_PERIOD=4",
            "--gin.MIXTURE_OR_TASK_NAME=toy_both",
        )
    jax.tree.map(np.testing.assert_array_equal, parameters_of(tmp_path), parameters_of(trained))


def test_an_error_in_an_evaluation_costs_no_checkpoint(tmp_path, monkeypatch):
    """The step's checkpoint is saved first."""

    def fail(*unused):
        raise RuntimeError("evaluation")

    monkeypatch.setattr("t5x_lite.training.hooks.Evaluate.after_step", fail)
    with pytest.raises(RuntimeError, match="evaluation"):
        cli.main([*TRAIN, f"--gin.MODEL_DIR={tmp_path}", "--gin.TRAIN_STEPS=1", "--traceback"])
    # It failed at the first step, which is the last and has a checkpoint.
    assert manager.find(tmp_path).name == "checkpoint_1"


AGAIN = [*TRAIN, "--gin.TRAIN_STEPS=8", "--gin.MIXTURE_OR_TASK_NAME=toy_both"]


def test_a_complete_run_that_is_started_again_succeeds(trained, capsys):
    """A scheduler takes anything else for a failure. Nothing is trained, evaluated or deleted."""

    def contents():
        return {
            path: path.stat().st_mtime_ns for path in trained.glob("checkpoint_*/manifest.json")
        }

    before, scores = contents(), (trained / "evaluation_scores.jsonl").read_text()
    run(*AGAIN, f"--gin.MODEL_DIR={trained}")
    output = capsys.readouterr().out
    assert "complete, as its checkpoint of step 8 is the last" in output
    assert "compiling" not in output
    assert "held-out" not in output
    assert contents() == before
    assert (trained / "evaluation_scores.jsonl").read_text() == scores
    # Fewer steps than are there are a mistake.
    assert cli.main([*AGAIN, f"--gin.MODEL_DIR={trained}", "--gin.TRAIN_STEPS=7"]) == 2
    assert "would train no step" in capsys.readouterr().err


def test_a_checkpoint_says_which_split_was_evaluated(trained):
    """What `t5x_lite eval` scores unless it is told otherwise; nothing was decoded here."""
    said = description.read(manager.find(str(trained))).dataset
    assert (said["mixture_or_task_name"], said["evaluated_split"]) == ("toy_both", "validation")
    assert said["evaluated_length"] is None


def test_a_run_that_lacks_its_last_evaluation_makes_up_for_it(trained, tmp_path, capsys):
    """It was killed within it, one of two tasks written: now each has its score once."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    scores, metrics = tmp_path / "evaluation_scores.jsonl", "training_eval/toy_{}/metrics.jsonl"
    expected = scores.read_text()
    scores.unlink()
    (tmp_path / metrics.format("double")).unlink()
    run(*AGAIN, f"--gin.MODEL_DIR={tmp_path}")
    assert "step 8 was saved and not evaluated" in capsys.readouterr().out
    assert scores.read_text() == expected
    for task in ("copy", "double"):
        assert [line["step"] for line in lines(tmp_path / metrics.format(task))] == [8]


def test_a_run_stops_within_an_evaluation(tmp_path, monkeypatch, capsys):
    """The step is saved, no further batch is scored, and the next start makes up for it."""
    words = [*AGAIN, f"--gin.MODEL_DIR={tmp_path}", "--gin.EVAL_PERIOD=2", "--gin.TRAIN_STEPS=2"]
    calls = []

    def stop_at_the_last_batch(self):
        calls.append(self)
        if len(calls) == 4:
            raise StopAsked

    with monkeypatch.context() as patch:
        patch.setattr(Interrupts, "stop_if_asked", stop_at_the_last_batch)
        assert cli.main([*words, "--gin.TRAIN_STEPS=3"]) == 75
    assert len(calls) == 4
    assert manager.find(tmp_path).name == "checkpoint_2"
    assert not (tmp_path / "evaluation_scores.jsonl").exists()
    run(*words)
    assert "step 2 was saved and not evaluated" in capsys.readouterr().out
    (found,) = lines(tmp_path / "evaluation_scores.jsonl")
    assert found["scores"].keys() == {"toy_copy/loss_per_token", "toy_double/loss_per_token"}
    for task in ("copy", "double"):
        assert len(lines(tmp_path / f"training_eval/toy_{task}/metrics.jsonl")) == 1


def test_evaluation_scores_every_example_once_whatever_the_batch(trained, tmp_path, capsys):
    """29 held-out words in batches of 8: the last batch is filled, and the filling not scored."""
    run(
        "eval",
        *MODEL,
        "--gin_file=recipes/eval.gin",
        *TASK,
        "--gin.MIXTURE_OR_TASK_NAME=toy_both",
        f"--gin.CHECKPOINT_PATH={trained}",
        f"--gin.EVAL_OUTPUT_DIR={tmp_path}",
        "--gin.SPLIT=validation",
        "--gin.BATCH_SIZE=8",
        DECODE,
        "--gin.COMPILATION_CACHE=False",
    )
    written = lines(tmp_path / "inference_eval/toy_double-000008.jsonl")
    inputs = [line["input"]["inputs_pretokenized"] for line in written]
    assert len(inputs) == len(set(inputs)) == 29
    assert all(line["target"] == line["input"]["targets_pretokenized"] for line in written)
    hits = sum(line["target"] == line["prediction"] for line in written)
    scores = lines(tmp_path / "inference_eval/toy_double-metrics.jsonl")
    accuracy = pytest.approx(100 * hits / 29)
    assert scores == [{"step": 8, "split": "validation", "accuracy": accuracy}]
    assert "trivial baseline" in capsys.readouterr().out


def test_the_copy_baseline_is_what_copying_the_input_scores(trained, tmp_path):
    """On a task whose targets are its inputs, copying is perfect; a constant answer hits once."""
    run(
        "eval",
        *MODEL,
        "--gin_file=recipes/eval.gin",
        *TASK,
        f"--gin.CHECKPOINT_PATH={trained / 'checkpoint_4'}",
        f"--gin.EVAL_OUTPUT_DIR={tmp_path}",
        "--gin.SPLIT=validation",
        "--gin.BATCH_SIZE=8",
        DECODE,
        "--gin.COMPILATION_CACHE=False",
    )
    (baselines,) = lines(tmp_path / "inference_eval/toy_copy-baselines.json")
    assert baselines["copy_input"] == {"accuracy": 100.0}
    assert baselines["most_frequent_target"] == {"accuracy": pytest.approx(100 / 29)}
    assert (tmp_path / "inference_eval/toy_copy-000004.jsonl").exists(), "named by the step"


def test_a_task_that_keeps_ids_only_is_evaluated_too(trained, tmp_path):
    """Its texts are decoded, and NumPy values of a postprocessor are written as numbers."""
    run(
        "eval",
        *MODEL,
        "--gin_file=recipes/eval.gin",
        *TASK,
        "--gin.MIXTURE_OR_TASK_NAME=toy_ids",
        f"--gin.CHECKPOINT_PATH={trained}",
        f"--gin.EVAL_OUTPUT_DIR={tmp_path}",
        "--gin.SPLIT=validation",
        "--gin.NUM_EXAMPLES=5",
        "--gin.BATCH_SIZE=8",
        DECODE,
        "--gin.COMPILATION_CACHE=False",
    )
    written = lines(tmp_path / "inference_eval/toy_ids-000008.jsonl")
    assert [line["target"] for line in written] == [3] * 5
    assert len(written[0]["input"]["inputs_pretokenized"]) == 3


def test_inference_writes_the_lines_that_users_of_t5x_read(trained, tmp_path):
    """The file name, its marker and the keys of USERS 3.6."""
    run(
        "infer",
        *MODEL,
        "--gin_file=recipes/infer.gin",
        *TASK,
        f"--gin.CHECKPOINT_PATH={trained}",
        f"--gin.INFER_OUTPUT_DIR={tmp_path}",
        "--gin.SPLIT=validation",
        "--gin.BATCH_SIZE=8",
        DECODE,
        "--gin.NUM_EXAMPLES=9",
        "--gin.COMPILATION_CACHE=False",
        LENGTHS,
    )
    path = tmp_path / "toy_copy-predict.jsonl-00000-of-00001"
    written = lines(path)
    assert len(written) == 9
    assert written[0].keys() == {"inputs", "prediction"}
    assert written[0]["inputs"].keys() == {"inputs_pretokenized", "targets_pretokenized"}
    assert pathlib.Path(f"{path}.COMPLETED").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--gin.MIXTURE_OR_TASK_NAME=toy_cpoy", "toy_copy"),
        ("--gin.NUM_PARTITIONS=1 --gin.BATCH_SIZE=7", "8"),
        ("--gin.VOCAB_SIZE=128", "259"),
        ("--gin.NUM_HEADS=3", "heads"),
    ],
)
def test_a_mistake_is_one_message_before_anything_is_compiled(change, message, tmp_path, capsys):
    """Exit code 2, and no model directory is left half made."""
    model_dir = tmp_path / "run"
    words = [*TRAIN, f"--gin.MODEL_DIR={model_dir}", "--gin.TRAIN_STEPS=2", *change.split()]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("t5x_lite: error:")
    assert message in error
    assert not (model_dir / "train").exists()
