"""Commands without what they call, and a run that left a checkpoint."""

import shutil
import sys
import types

import pytest
from etils import epath

from t5x_lite import cli, config
from t5x_lite.checkpoints import description, manifest
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.data import task_files
from t5x_lite.testing import tiny_model
from t5x_lite.text import default_vocabulary


@pytest.fixture
def events(monkeypatch, tmp_path):
    """What a command would have done, in order: everything heavy is replaced by a note of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    happened = []

    def note(name):
        return lambda *args, **settings: happened.append((name, args, settings))

    for module, functions in {
        "t5x_lite.training.loop": ["train"],
        "t5x_lite.evaluation.during_training": ["make_hook"],
        "t5x_lite.evaluation.evaluate": ["evaluate"],
        "t5x_lite.inference.infer": ["infer"],
        "t5x_lite.data.checks": ["check_dataset"],
        "t5x_lite.data.silence": ["silence_tensorflow"],
        "t5x_lite.data.directories": ["set_directories"],
        "t5x_lite.inspection.inspect": ["inspect_task"],
        "t5x_lite.data.caching": ["cache_tasks"],
        "t5x_lite.data.raw_text": ["task_texts"],
        "t5x_lite.text.training": ["train_sentencepiece"],
        "t5x_lite.text.byte_pair_training": ["train_byte_pair"],
        "t5x_lite.text.word_piece_training": ["train_word_piece"],
        "t5x_lite.records.texts": ["field_texts"],
        "t5x_lite.partitioning.devices": ["simulate_cpu_devices"],
        "t5x_lite.partitioning.processes": ["initialize"],
    }.items():
        fake = types.SimpleNamespace(**{name: note(name) for name in functions})
        monkeypatch.setitem(sys.modules, module, fake)
        monkeypatch.setattr(module, fake, raising=False)
    for module, name in {
        default_vocabulary: "set_default_vocabulary",  # light, and what reads checkpoints needs it
        config: "import_modules",
    }.items():
        monkeypatch.setattr(module, name, note(name))
    monkeypatch.setattr(task_files, "_folders", ())
    monkeypatch.setattr(cli, "_wait_for_no_one", lambda status, **how: status)
    return happened


@pytest.fixture
def error_of(capsys):
    """What a command says that cannot be run; one line, without a traceback."""

    def said(words):
        assert cli.main(words) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("t5x_lite: error: ")
        assert "Traceback" not in captured.err
        return captured.err

    return said


def leave_checkpoint(directory, said):
    """One of step 5, the only one, which is described so."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "checkpoint_5" / "state").mkdir(parents=True)
    checkpoint = epath.Path(directory / "checkpoint_5")
    description.write(checkpoint, said)
    manifest.write(checkpoint, process_count=0, leaves={})


@pytest.fixture
def run(events, tmp_path, monkeypatch):
    """A model directory whose newest checkpoint says what its run was; its task has two splits."""
    directory = tmp_path / "run"
    (tmp_path / "run_tasks.py").write_text("")
    said = describe_run(
        "import run_tasks\n",
        tiny_model(vocab_size=64),
        dataset={
            "mixture_or_task_name": "its_task",
            "mixture_or_task_module": None,
            "task_files": str(tmp_path),
            "task_feature_lengths": {"inputs": 8, "targets": 4},
            "evaluated_split": "dev",
            "evaluated_length": 7,
        },
    )
    leave_checkpoint(directory, said)
    splits = types.SimpleNamespace(
        held_out_split=lambda name, first: (
            events.append(("held_out_split", (name,), {})) or first or "validation"
        ),
        check_dataset=lambda *args, **settings: None,
    )
    monkeypatch.setitem(sys.modules, "t5x_lite.data.checks", splits)
    monkeypatch.setattr("t5x_lite.data.checks", splits)
    return directory
