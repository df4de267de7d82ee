"""Files of one's own on the command line: a job needs no task, no module and no lengths."""

import shlex
import sys
import types

import pytest

from t5x_lite import cli, config, registration
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.records.config import BadRows, RecordsConfig, Told
from t5x_lite.testing import tiny_model
from t5x_lite.training.config import TrainConfig
from tests.commands.conftest import leave_checkpoint

MODEL = "--gin_file=models/t5_1_1/tiny.gin"
PRETRAIN, SUPERVISED = "--gin_file=recipes/pretrain.gin", "--gin_file=recipes/supervised.gin"
JOB = ["--gin.MODEL_DIR=run", "--gin.TRAIN_STEPS=4"]


@pytest.fixture
def job_of(events, tmp_path, monkeypatch):
    """(words) -> the config of a job that reads x.csv, y.jsonl or z.tsv, with a vocabulary."""
    for name in ("x.csv", "y.jsonl", "z.tsv", "my.model"):
        (tmp_path / name).write_text("")
    registered = []
    monkeypatch.setattr(registration, "_register_files", registered.append)

    def job(*words):
        assert cli.main([*words, "--gin.VOCABULARY=my.model"]) == 0
        found = events[-1][1][0]
        dataset = found.dataset
        assert registered[-1] == dataset.records
        return found

    return job


def test_text_needs_neither_name_nor_lengths(job_of):
    """Lengths are those that the objective fills; all that is read reads the same files."""
    job = job_of("train", MODEL, PRETRAIN, "--data=y.jsonl", *JOB)
    assert job.dataset.mixture_or_task_name == "data"
    assert job.dataset.task_feature_lengths == {"inputs": 512, "targets": 114}
    assert job.dataset.records == job.eval_dataset.records == RecordsConfig(paths="y.jsonl")
    assert (job.dataset.split, job.eval_dataset.split) == ("train", "validation")


def test_flags_say_what_rows_are(job_of):
    """Each is a macro, which a gin file may give as well."""
    flags = ["--data=z.tsv", "--inputs=source", "--targets=target", "--prefix=translate:"]
    flags += ["--metric=bleu", "--metric=rouge", "--held_out=0.1", "--on_bad_row=skip"]
    job = job_of("train", MODEL, SUPERVISED, *flags, *JOB)
    assert job.dataset.records == RecordsConfig(
        paths="z.tsv",
        inputs="source",
        targets="target",
        prefix="translate: ",
        metrics=("bleu", "rouge"),
        held_out=0.1,
        bad_rows=BadRows.SKIP,
    )
    assert job.dataset.task_feature_lengths == {"inputs": 512, "targets": 128}


def test_a_gin_file_may_say_it(job_of, tmp_path):
    """Without a flag; what is said of name and lengths counts."""
    (tmp_path / "mine.gin").write_text(
        'include "recipes/pretrain.gin"\nDATA = "x.csv,y.jsonl"\nDATA_OBJECTIVE = "prefix_lm"\n'
        'TASK_FEATURE_LENGTHS = {"inputs": 32, "targets": 32}\n'
    )
    job = job_of("train", MODEL, "--gin_file=mine.gin", *JOB)
    assert job.dataset.records == RecordsConfig(paths="x.csv,y.jsonl", objective="prefix_lm")
    assert job.dataset.mixture_or_task_name == "data"
    assert job.dataset.task_feature_lengths == {"inputs": 32, "targets": 32}


def test_a_module_may_mix_it_with_others(job_of):
    """The task is there beside those that are registered."""
    words = ["--data=y.jsonl", "--gin.MIXTURE_OR_TASK_NAME=mine_and_data"]
    job = job_of("train", MODEL, PRETRAIN, *words, *JOB)
    assert job.dataset.mixture_or_task_name == "mine_and_data"


def test_an_encoder_tells_classes(job_of):
    """Labels are the model's and the task's."""
    words = ["--data=x.csv", "--inputs=text", "--targets=label", "--labels=no,yes,perhaps"]
    model = ["--gin_file=models/bert/base.gin", "--gin_file=recipes/encoder_classes.gin"]
    job = job_of("train", *model, *words, "--gin.INITIAL_CHECKPOINT_PATH=none", *JOB)
    assert job.dataset.mixture_or_task_name == "data_encoder"
    assert job.dataset.records.told is Told.CLASSES
    assert job.dataset.records.labels == ("no", "yes", "perhaps") == job.model.heads[0].labels
    assert job.model.heads[0].num_classes == 3
    lengths = {"inputs": 128, "token_types": 128, "classes": 1}
    assert job.dataset.task_feature_lengths == lengths


@pytest.fixture
def run_of_files(run, tmp_path):
    """A run whose task was files of its own."""
    records = RecordsConfig(paths="z.tsv", inputs="source", targets="target", metrics=("bleu",))
    dataset = {
        "mixture_or_task_name": "data",
        "task_feature_lengths": {"inputs": 8, "targets": 4},
        "evaluated_split": "validation",
        **records.facts(),
    }
    said = describe_run("", tiny_model(vocab_size=64), dataset=dataset)
    leave_checkpoint(run, said)
    return run


@pytest.mark.parametrize("command", ["eval", "infer"])
def test_a_checkpoint_says_which_files_its_run_read(command, job_of, run_of_files):
    """They are read again, what was held out; other files, named by a flag, as a whole."""
    own = job_of(command, f"--gin.CHECKPOINT_PATH={run_of_files}")
    assert own.dataset.records.paths == "z.tsv"
    assert own.dataset.records.metrics == ("bleu",)
    assert own.dataset.split == "validation"
    other = job_of(command, f"--gin.CHECKPOINT_PATH={run_of_files}", "--data=x.csv")
    assert other.dataset.records.paths == "x.csv"
    assert (other.dataset.records.inputs, other.dataset.split) == ("source", "all")
    part = job_of(command, f"--gin.CHECKPOINT_PATH={run_of_files}", "--gin.SPLIT='train'")
    assert part.dataset.split == "train"


def test_other_tasks_of_a_checkpoint_give_way(job_of, run):
    """What its run was trained on is not what is read now."""
    words = ["--data=z.tsv", "--inputs=a", "--targets=b"]
    job = job_of("eval", f"--gin.CHECKPOINT_PATH={run}", *words)
    assert (job.dataset.mixture_or_task_name, job.dataset.split) == ("data", "all")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--data=y.jsonl"], "t5x_lite vocab --file=y.jsonl --field=text --output=my.model"),
        (
            ["--data=x.csv,z.tsv", "--inputs=a b", "--targets=c"],
            "t5x_lite vocab --file=x.csv --file=z.tsv '--field=a b' --field=c --output=my.model",
        ),
        (["--data=t.txt"], "t5x_lite vocab --file=t.txt --output=my.model"),
    ],
)
def test_without_a_vocabulary_the_line_that_trains_one_is_said(
    words, line, events, error_of, tmp_path
):
    """Ready to be typed."""
    for name in ("x.csv", "y.jsonl", "z.tsv", "t.txt"):
        (tmp_path / name).write_text("")
    said = error_of(["train", MODEL, PRETRAIN, *words, *JOB])
    assert said.rstrip().endswith(line)
    assert events == []
    assert cli.main(shlex.split(line)[1:]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data=x.csv", "--inputs=a"], "inputs='a' without targets"),
        (["--data=none.csv"], "No file matches 'none.csv'"),
        (["--data=x.csv", "--on_bad_row=ignore"], "invalid choice: 'ignore'"),
        (["--data=x.csv", "--held_out=0.9"], "held_out"),
        (["--data=x.csv", "--objective=spans"], "No objective is named 'spans'"),
        (["--data=a\0b"], "needed is a path"),
    ],
)
def test_bad_flags_are_one_clear_error(words, said, error_of, events, tmp_path):
    """Before anything is imported that takes seconds."""
    (tmp_path / "x.csv").write_text("")
    assert said in error_of(["train", MODEL, PRETRAIN, *words, *JOB])


def test_inspect_shows_files(events, monkeypatch):
    """As the task `data`; labels are classes."""
    registered = []
    monkeypatch.setattr(registration, "_register_files", registered.append)
    words = ["--data=x.csv", "--inputs=a", "--targets=b", "--labels=c,d"]
    assert cli.main(["inspect", "data", *words]) == 0
    (found,) = registered
    assert found == RecordsConfig(
        paths="x.csv", inputs="a", targets="b", labels=("c", "d"), told=Told.CLASSES
    )


def test_the_config_of_a_job_is_a_gin_file(job_of, tmp_path, capsys):
    """What --dry_run prints gives the same job."""
    words = ["--data=z.tsv", "--inputs=a", "--targets=b", *JOB, "--gin.VOCABULARY=my.model"]
    assert cli.main(["train", MODEL, SUPERVISED, *words, "--dry_run"]) == 0
    (tmp_path / "again.gin").write_text(capsys.readouterr().out)
    again = config.resolve(TrainConfig, ["again.gin"]).config
    assert again == job_of("train", MODEL, SUPERVISED, *words)


def test_files_are_cached_as_a_task(events, monkeypatch):
    """In this process and in its workers."""
    registered, cached = [], []
    monkeypatch.setattr(registration, "_register_files", registered.append)
    fake = types.SimpleNamespace(cache_tasks=lambda *args, **how: cached.append((args, how)))
    monkeypatch.setitem(sys.modules, "t5x_lite.data.caching", fake)
    words = ["--data=x.csv", "--inputs=a", "--targets=b", "--output_cache_dir=cache"]
    assert cli.main(["cache", "data", *words]) == 0
    ((names, folder), how) = cached[0]
    assert (names, folder) == (["data"], "cache")
    how["register"]()
    assert registered == [RecordsConfig(paths="x.csv", inputs="a", targets="b")] * 2
