"""The command line: what is checked, in which order, and how a mistake reads."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite import cli, config
from t5x_lite.data import task_files
from t5x_lite.decoding.strategies import BeamConfig
from t5x_lite.training.config import TrainConfig

MODEL = "--gin_file=models/t5_1_1/tiny.gin"
TRAIN = [
    "train",
    MODEL,
    "--gin_file=recipes/pretrain.gin",
    "--gin.MODEL_DIR=/runs/one",
    "--gin.MIXTURE_OR_TASK_NAME=my_task",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 32}",
    "--gin.TRAIN_STEPS=10",
]
EVAL = [
    "eval",
    MODEL,
    "--gin_file=recipes/eval.gin",
    "--gin.SPLIT=test",
    "--gin.CHECKPOINT_PATH=/runs/one",
    "--gin.EVAL_OUTPUT_DIR=/runs/one/eval",
    "--gin.MIXTURE_OR_TASK_NAME=my_task",
]
INFER = [
    "infer",
    MODEL,
    "--gin_file=recipes/infer.gin",
    "--gin.CHECKPOINT_PATH=/runs/one",
    "--gin.INFER_OUTPUT_DIR=/runs/one/infer",
    "--gin.MIXTURE_OR_TASK_NAME=my_task",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 32}",
]


def test_all_that_can_fail_early_comes_before_training(events):
    """An unknown task is told before JAX starts, before other processes are waited for."""
    vocabulary = __file__  # any file that exists
    assert cli.main([*TRAIN, "--cpu_devices=8", f"--gin.VOCABULARY={vocabulary}"]) == 0
    assert [name for name, *_ in events] == [
        "simulate_cpu_devices",
        "silence_tensorflow",
        "set_default_vocabulary",
        "import_modules",
        "check_dataset",
        "check_dataset",
        "initialize",
        "train",
    ]
    assert events[0][1] == (8,)
    assert events[2][1] == (vocabulary,)
    checked = [args[0].split for name, args, _ in events if name == "check_dataset"]
    assert checked == ["train", "validation"]


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ([*TRAIN, "--gin.VOCABULARY=/no/v.model"], "--gin.VOCABULARY"),
        (["inspect", "my_task", "--vocabulary=/no/v.model"], "--vocabulary"),
    ],
)
def test_a_vocabulary_that_is_not_there_is_named_with_its_flag(events, error_of, words, flag):
    assert f"{flag}=/no/v.model: there is no such file" in error_of(words)


@pytest.mark.parametrize("file", ["spiece.model", "tokenizer.json", "vocab.json"])
def test_a_job_from_a_hugging_face_directory_takes_its_vocabulary_too(events, tmp_path, file):
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / file).write_bytes(b"")
    assert cli.main([*TRAIN, f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path}"]) == 0
    assert ("set_default_vocabulary", (str(tmp_path / file),), {}) in events


@pytest.mark.parametrize("words", [EVAL, INFER])
def test_a_checkpoint_says_which_model_it_holds(events, words):
    """No gin file of a model: the job leaves it to the checkpoint, which is read later."""
    assert cli.main([word for word in words if word != MODEL]) == 0
    assert events[-1][1][0].model is None
    assert cli.main(words) == 0
    assert events[-1][1][0].model is not None, "one that is given is compared with it"


def test_a_file_is_read_without_tensorflow_and_a_shard_by_its_flag(events, tmp_path):
    """No task, so nothing is prepared for one."""
    words = [
        "infer",
        "--gin_file=recipes/infer_file.gin",
        "--gin_file=decoding/beam4.gin",
        "--gin.CHECKPOINT_PATH=/runs/one",
        "--gin.INFER_OUTPUT_DIR=/runs/one/infer",
        "--gin.INPUT_FILE=inputs.txt",
        "--gin.NUM_SHARDS=8",
        "--shard_id=3",
    ]
    assert cli.main(words) == 0
    assert [name for name, *_ in events] == ["initialize", "infer"]
    job = events[-1][1][0]
    assert (job.shard_id, job.num_shards, job.input_file.path) == (3, 8, "inputs.txt")
    assert job.decoding.strategy == BeamConfig(beam_size=4)


@pytest.mark.parametrize(
    ("words", "function"), [(TRAIN, "train"), (EVAL, "evaluate"), (INFER, "infer")]
)
def test_a_job_is_one_call_with_the_config_and_the_text_that_gives_it(
    events, words, function, tmp_path
):
    assert cli.main(words) == 0
    name, (job, text), _ = events[-1]
    assert name == function
    (tmp_path / "again.gin").write_text(text)
    assert config.resolve(type(job), ["again.gin"]).config == job


@pytest.mark.parametrize("words", [TRAIN, EVAL, INFER], ids=lambda words: words[0])
def test_a_dry_run_does_nothing_and_prints_a_gin_file(events, words, capsys, tmp_path):
    assert cli.main([*words, "--dry_run"]) == 0
    assert events == []
    printed = capsys.readouterr().out
    (tmp_path / "again.gin").write_text(printed)
    assert cli.main([words[0], "--gin_file=again.gin", "--dry_run"]) == 0
    again = capsys.readouterr().out
    assert "would call t5x_lite." in printed

    def statements(text):
        return [line for line in text.splitlines() if not line.startswith("#")]

    assert statements(again) == statements(printed)


def test_flags_and_files_override_what_the_checkpoint_says(events, run, tmp_path):
    (tmp_path / "mine.gin").write_text("SPLIT = 'train'\nEVAL_OUTPUT_DIR = '/other'")
    words = ["--gin_file=mine.gin", "--gin_file=decoding/beam4.gin"]
    assert (
        cli.main(
            [
                "eval",
                f"--gin.CHECKPOINT_PATH={run}",
                *words,
                "--gin.MIXTURE_OR_TASK_NAME=other_task",
            ]
        )
        == 0
    )
    job = events[-1][1][0]
    assert (job.dataset.split, job.output_dir) == ("train", "/other")
    assert job.dataset.mixture_or_task_name == "other_task"
    assert job.decoding.strategy == BeamConfig()
    assert "held_out_split" not in [name for name, *_ in events]


@pytest.mark.parametrize("path", ["run", "run/best"])
@pytest.mark.parametrize("file", ["sentencepiece.model", "vocab.json"])
def test_a_job_from_a_checkpoint_takes_the_vocabulary_that_it_carries(events, run, path, file):
    """A model directory's is its newest checkpoint's, also where each task has its best one."""
    vocabulary = run / "checkpoint_5" / "vocabulary" / file
    vocabulary.parent.mkdir()
    vocabulary.write_bytes(b"")
    assert cli.main([*EVAL, f"--gin.CHECKPOINT_PATH={run.parent / path}"]) == 0
    assert ("set_default_vocabulary", (str(vocabulary),), {}) in events


def test_data_flags_reach_seqio(events):
    cli.main([*TRAIN, "--tfds_data_dir=/tfds", "--seqio_additional_cache_dirs=/a,gs://b"])
    settings = {name: settings for name, _, settings in events}
    assert settings["set_directories"] == {
        "tfds_data_dir": "/tfds",
        "cache_dirs": ["/a", "gs://b"],
    }


@pytest.mark.parametrize(
    "words",
    [
        [*TRAIN, "--gin.TASK_FILES=FOLDER"],
        ["inspect", "my_task", "--task_files=FOLDER"],
        ["vocab", "--task=my_task", "--output=v.model", "--task_files=FOLDER"],
    ],
)
def test_original_files_are_a_setting_of_the_process(events, tmp_path, words):
    """Set before tasks are looked at."""
    assert cli.main([word.replace("FOLDER", str(tmp_path)) for word in words]) in (0, None)
    assert [str(folder) for folder in task_files.task_files()] == [str(tmp_path)]


def test_capitals_are_a_matter_of_word_pieces(error_of):
    said = error_of(["vocab", "--kind=bpe", "--cased", "--file=a.txt", "--output=v"])
    assert "--cased is for --kind=wordpiece; bpe keeps capitals in any case" in said


def test_a_folder_of_original_files_that_is_not_there_is_named(events, error_of):
    said = error_of([*TRAIN, "--gin.TASK_FILES=/no/folder"])
    assert "/no/folder: there is no such folder; needed is the one with the original files" in said


def test_modules_come_from_flags_files_and_the_old_macro(events, tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}_tasks.py").write_text("")
    (tmp_path / "mine.gin").write_text("import one_tasks")
    words = ["--gin_file=mine.gin", "--module_import=two_tasks"]
    assert cli.main([*TRAIN, *words, "--gin.MIXTURE_OR_TASK_MODULE=three_tasks"]) == 0
    (imports,) = next(args for name, args, _ in events if name == "import_modules")
    assert [each.module for each in imports] == ["one_tasks", "two_tasks", "three_tasks"]


@pytest.mark.parametrize(
    "words", [["--module_import=my_tsks"], ["--gin.MIXTURE_OR_TASK_MODULE=my_tsks"]]
)
def test_a_missing_module_is_told_before_anything_starts(events, words, tmp_path, error_of):
    (tmp_path / "my_tasks.py").write_text("")
    assert "did you mean my_tasks?" in error_of([*TRAIN, *words])
    assert events == []


def test_process_flags_go_to_jax(events):
    flags = ["--coordinator_address=host:1", "--process_count=2", "--process_index=1"]
    cli.main([*TRAIN, *flags, "--initialization_timeout=60", "--multiprocess_gpu"])
    calls = {name: (args, settings) for name, args, settings in events}
    given, others = calls["initialize"]
    assert (given, others["timeout_s"]) == (("host:1", 2, 1), 60.0)
    assert calls["check_dataset"][1]["process_count"] == 2


def test_processes_compare_settings_devices_and_the_vocabulary_s_contents(events, tmp_path):
    """The vocabulary may lie elsewhere on each host, as long as it is the same."""
    facts = []
    for folder, contents in (("one", b"pieces"), ("two", b"pieces"), ("three", b"others")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.model").write_bytes(contents)
        words = [f"--gin.VOCABULARY={tmp_path / folder / 'my.model'}", "--cpu_devices=4"]
        assert cli.main([*TRAIN, *words]) == 0
        facts.append(next(s for name, _, s in reversed(events) if name == "initialize")["facts"]())
    assert facts[0] == facts[1] != facts[2]
    assert facts[0].items() >= {"TRAIN_STEPS": "10", "--cpu_devices": "4"}.items()


def test_all_problems_of_a_configuration_are_one_message(error_of):
    message = error_of(["train", MODEL, "--gin_file=recipes/finetune.gin"])
    for name in ["MODEL_DIR", "MIXTURE_OR_TASK_NAME", "TASK_FEATURE_LENGTHS", "TRAIN_STEPS"]:
        assert f"--gin.{name}=" in message
    assert "--gin.INITIAL_CHECKPOINT_PATH=" in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*TRAIN, "--dry_runn"], "train does not know --dry_runn; did you mean --dry_run?"),
        ([*TRAIN, "--MODEL_DIR=/x"], "did you mean --gin.MODEL_DIR=/x?"),
        ([*TRAIN, "--gin.TRAIN_STEP=1"], "did you mean TRAIN_STEPS?"),
        ([*TRAIN, "--gin.MODEL_DIR", "/x"], "needed is --gin.MODEL_DIR=VALUE"),
        ([*TRAIN, "--gin_bindings=MODEL_DIRR = /x"], "--gin_bindings on the command line"),
        ([*TRAIN, "--cpu_devices=many"], "--cpu_devices: invalid int value: 'many'"),
        ([*TRAIN, "--gin_file=--"], "--gin_file=--: -- is no value"),
        (["inspect", "task", "--seed=--"], "--seed=--: -- is no value"),
        (["trane"], "invalid choice: 'trane'"),
        ([], "COMMAND"),
        (["train"], "needs a model and a recipe"),
        (["eval"], "needs a checkpoint, such as --gin.CHECKPOINT_PATH=/runs/one, or a recipe"),
        (["check"], "t5x_lite check needs a model and a recipe"),
        (["check", "--job=infer"], "or a recipe, such as --gin_file=recipes/infer.gin"),
        (["check", "--dry_run"], "check does not know --dry_run"),
        (["infer", "--gin_file=decoding/beam4.gin"], "CHECKPOINT_PATH has no value"),
        (["inspect", "task", "--lengths=64"], "needed is inputs=64,targets=32; given '64'"),
        (["inspect", "task", "--sample=-1"], "needed is a number from 0 to 2,147,483,647; given"),
        (["inspect", "task", f"--seed={2**64}"], "needed is a number from 0 to 4,294,967,295"),
        (["inspect", "task", "--vocabulary=http://x/v.model"], "http:// is not supported"),
        (["inspect", "hf://google/t5"], "hf:// is not supported"),
        (["compare", "a", "b", "--output=/nonexistent/x"], "/nonexistent is no folder to write"),
        (["compare", "a", "b", "--output=/"], "'/' is a folder; needed is the name of a file"),
        (["report", "~nosuchuser/x"], "there is no user 'nosuchuser' here"),
        ([*TRAIN, "--initialization_timeout=inf"], "needed is a number from 1 to 86,400"),
        ([*TRAIN, "--initialization_timeout=nan"], "needed is a number from 1 to 86,400"),
        ([*TRAIN, "--gin_search_paths=/nope"], "/nope: there is no such folder"),
        ([*TRAIN, "--gin.MODEL_DIR=http://x/y"], "http:// is not supported"),
        ([*TRAIN, "--gin.MODEL_DIR=s3://x/y"], "s3:// is not supported"),
        ([*TRAIN, "--gin.MODEL_DIR=~nosuchuser/x"], "there is no user 'nosuchuser' here"),
        ([*TRAIN, "--gin.MODEL_DIR=''"], "model_dir='': needed is a path"),
        ([*TRAIN, "--gin.INITIAL_CHECKPOINT_PATH=az://x"], "az:// is not supported"),
        ([*TRAIN, "--gin.VOCABULARY=ftp://x"], "ftp:// is not supported"),
        (["eval", "--gin.CHECKPOINT_PATH=http://x"], "http:// is not supported"),
        (["infer", "--gin.CHECKPOINT_PATH=a\0b"], "needed is a path"),
        (["vocab", "--output=v.model"], "needs text: --task=NAME or --file=GLOB"),
        (["vocab", "--file=x"], "required: --output"),
    ],
)
def test_a_wrong_flag_is_one_line(error_of, events, words, expected):
    assert expected in error_of(words)
    assert events == []


def test_gin_bindings_are_the_long_form(events):
    cli.main([*TRAIN, "--gin_bindings=BATCH_SIZE = 7", "--gin_bindings", "TRAIN_STEPS=3"])
    job = events[-1][1][0]
    assert isinstance(job, TrainConfig)
    assert (job.dataset.batch_size, job.train_steps) == (7, 3)


def test_flags_of_t5x_that_mean_nothing_here_are_accepted(events):
    assert cli.main([*TRAIN, "--logtostderr"]) == 0


def raising(error):
    def run(*args, **settings):
        raise error

    return run


def test_a_mistake_of_the_user_has_no_traceback_unless_asked_for(events, monkeypatch, error_of):
    """Ours are raised by our code; a file that is not there is the user's whoever finds out."""
    missing = FileNotFoundError("no such checkpoint: /runs/zero")
    monkeypatch.setattr("t5x_lite.training.loop.train", raising(missing))
    assert "no such checkpoint" in error_of(TRAIN)
    with pytest.raises(FileNotFoundError):
        cli.main([*TRAIN, "--traceback"])


def test_a_bug_keeps_its_traceback(events, monkeypatch):
    """A ValueError of anyone who does not speak to users says too little on its own."""
    monkeypatch.setattr("t5x_lite.training.loop.train", raising(ValueError("shapes differ")))
    with pytest.raises(ValueError, match="shapes differ"):
        cli.main(TRAIN)


def exhausted():
    jnp.zeros((2**22, 2**22)).block_until_ready()


@pytest.mark.parametrize("fails", [exhausted, lambda: np.ones((2**29, 2**29))])
def test_what_does_not_fit_into_memory_says_what_to_lower(fails, events, monkeypatch, error_of):
    """Of a device and of the host: no size is known to be too large before."""
    monkeypatch.setattr("t5x_lite.training.loop.train", lambda *_, **__: fails())
    assert "does not fit into memory: lower BATCH_SIZE" in error_of(TRAIN)


@pytest.mark.parametrize("error", [KeyError, ValueError, TypeError, IndexError])
def test_a_bug_of_ours_keeps_its_traceback_too(error, events, monkeypatch):
    """Also where the last frame is our own, which once passed for a mistake of the user."""

    def fails(*_, **__):
        bugs = {KeyError: "{}['one']", ValueError: "int('one')", TypeError: "len(1)"}
        return eval(bugs.get(error, "[][0]"), {"__name__": "t5x_lite.training.loop"})

    monkeypatch.setattr("t5x_lite.training.loop.train", fails)
    with pytest.raises(error):
        cli.main(TRAIN)


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in ("train", "eval", "infer", "check", "inspect", "vocab", "corpus"))],
)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: t5x_lite" in capsys.readouterr().out


def test_python_dash_m_is_the_console_command(tmp_path):
    """Exit status and message come through both."""
    words = [sys.executable, "-m", "t5x_lite", "train"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("t5x_lite: error: ")
