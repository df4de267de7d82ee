"""What eval and infer take from a checkpoint, and what they are told instead."""

import dataclasses

import pytest
from etils import epath

from t5x_lite import cli, config
from t5x_lite.checkpoints import description, manifest
from t5x_lite.data import task_files
from t5x_lite.evaluation.config import EvalConfig


@pytest.mark.parametrize("path", ["run", "run/checkpoint_5", "run/best"])
@pytest.mark.parametrize("command", ["eval", "infer"])
def test_a_checkpoint_is_all_that_eval_and_infer_need(events, run, command, path):
    """The recipe is ours; task, lengths, modules and directory are those of its run."""
    assert cli.main([command, f"--gin.CHECKPOINT_PATH={run.parent / path}"]) == 0
    job = events[-1][1][0]
    assert job.dataset.mixture_or_task_name == "its_task"
    assert job.dataset.task_feature_lengths == {"inputs": 8, "targets": 4}
    # What the run evaluated is scored again, in the same curve; `infer` is for other examples.
    assert job.dataset.split == {"eval": "dev", "infer": "validation"}[command]
    assert job.decoding.max_decode_length == {"eval": 7, "infer": 4}[command]
    assert job.output_dir == str(run)
    assert job.checkpoint_path == str(run.parent / path)
    names = [name for name, *_ in events]
    assert names.index("import_modules") < names.index("held_out_split"), "it registers the task"
    for args in (args for name, args, _ in events if name == "import_modules"):
        assert [each.module for each in args[0]] == ["run_tasks"]


@pytest.mark.parametrize(
    ("words", "length"),
    [
        (["--gin.MAX_DECODE_LENGTH=9"], 9),
        (["--gin.DecodingConfig.max_decode_length=9"], 9),
        (["--gin.TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 6}"], 6),
    ],
)
def test_infer_writes_as_much_as_the_targets_unless_told_otherwise(events, run, words, length):
    assert cli.main(["infer", f"--gin.CHECKPOINT_PATH={run}", *words]) == 0
    assert events[-1][1][0].decoding.max_decode_length == length


def test_a_checkpoint_and_a_file_need_no_task(events, run):
    words = ["infer", f"--gin.CHECKPOINT_PATH={run}", "--gin.INPUT_FILE=inputs.txt"]
    assert cli.main(words) == 0
    assert [name for name, *_ in events] == ["initialize", "infer"]
    job = events[-1][1][0]
    assert (job.dataset, job.output_dir) == (None, str(run))


def test_a_dry_run_of_a_checkpoint_prints_a_gin_file_too(events, run, capsys, tmp_path):
    words = ["eval", f"--gin.CHECKPOINT_PATH={run}", "--dry_run"]
    assert cli.main(words) == 0
    (tmp_path / "again.gin").write_text(capsys.readouterr().out)
    job = config.resolve(EvalConfig, ["again.gin"]).config
    assert (job.dataset.mixture_or_task_name, job.dataset.split) == ("its_task", "dev")


@pytest.mark.parametrize("command", ["eval", "infer"])
def test_what_a_checkpoint_imports_is_said_before(events, run, capsys, monkeypatch, command):
    """A checkpoint from elsewhere may name any module that is found from here."""
    said = []
    importing = lambda imports: said.append(capsys.readouterr().out)  # noqa: E731
    monkeypatch.setattr("t5x_lite.config.import_modules", importing)
    assert cli.main([command, f"--gin.CHECKPOINT_PATH={run}"]) == 0
    assert f"As the run of {run} did, imports run_tasks, found from here" in said[0]


def test_what_a_checkpoint_imports_can_be_refused(events, run, error_of):
    """Unless the user names the module."""
    words = ["eval", f"--gin.CHECKPOINT_PATH={run}", "--no_checkpoint_imports"]
    message = error_of(words)
    assert "imported run_tasks, which --no_checkpoint_imports refuses" in message
    assert events == []
    assert cli.main([*words, "--module_import=run_tasks"]) == 0


@pytest.mark.parametrize("module", ["its_module", "run_tasks"])
def test_the_module_of_a_checkpoints_task_counts_as_well(events, run, error_of, module):
    checkpoint = epath.Path(run / "checkpoint_5")
    said = description.read(checkpoint)
    said = dataclasses.replace(
        said, operative_config="", dataset={**said.dataset, "mixture_or_task_module": module}
    )
    description.write(checkpoint, said)
    (checkpoint / "manifest.json").unlink()
    manifest.write(checkpoint, process_count=0, leaves={})
    words = ["infer", f"--gin.CHECKPOINT_PATH={run}", "--no_checkpoint_imports"]
    assert f"imported {module}, which" in error_of(words)


def test_a_recipe_takes_nothing_from_the_checkpoint(events, run, error_of):
    words = ["eval", "--gin_file=recipes/eval.gin", f"--gin.CHECKPOINT_PATH={run}"]
    said = error_of(words)
    assert "MIXTURE_OR_TASK_NAME has no value" in said
    assert "SPLIT has no value" in said


def test_a_checkpoint_says_where_its_run_read_from(events, run):
    words = ["eval", f"--gin.CHECKPOINT_PATH={run}"]
    assert cli.main([*words, "--gin.TASK_FILES=None"]) == 0
    assert task_files.task_files() == ()
    assert cli.main(words) == 0
    assert [str(folder) for folder in task_files.task_files()] == [str(run.parent)]
