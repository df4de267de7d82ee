"""What is finished is not run again; what was killed is; commands are ones that t5x_lite knows."""

import dataclasses
import json

import pytest

from benchmarks.experiments import (
    adapters,
    architectures,
    finetuning,
    in_context,
    language_model,
    mixture,
    pretraining,
    repetition,
    runs,
    transfer,
)
from benchmarks.experiments.lab import (
    BYTE_PAIR,
    FEW_PIECES,
    FEW_WORD_PIECES,
    FULL,
    Forward,
    Lab,
)
from benchmarks.experiments.runs import Run
from t5x_lite import cli

SCRATCH = Run("one/seed_0", 10, 0, {"BATCH_SIZE": 4})
CHILD = Run("two/seed_0", 5, 0, {"BATCH_SIZE": 4}, start_from=SCRATCH)


@pytest.fixture
def commands(monkeypatch):
    """The words of every command, none of which is run; `statuses` are what they end with."""
    given = []
    statuses = []

    def note(words):
        given.append(list(words))
        print("train 1/10  loss 5.0")
        return statuses.pop() if statuses else 0

    monkeypatch.setattr(cli, "main", note)
    note.given, note.statuses = given, statuses
    return note


def kinds(commands):
    return [words[0] for words in commands.given]


def test_a_parent_is_trained_first_and_nothing_twice(tmp_path, commands):
    Lab(tmp_path).train(CHILD)
    assert kinds(commands) == ["vocab", "train", "train"]
    parent, child = commands.given[1:]
    checkpoint = str(tmp_path / "runs/one/seed_0/checkpoint_10")
    assert f"--gin.INITIAL_CHECKPOINT_PATH={checkpoint!r}" in child
    assert "--gin.INITIAL_CHECKPOINT_PATH=None" in parent
    Lab(tmp_path).train(CHILD)
    assert len(commands.given) == 3


def test_a_vocabulary_of_byte_pairs_is_one_of_its_own(tmp_path, commands):
    """As large as the model's table: it has no sentinels."""
    lab = Lab(tmp_path)
    lab.train(dataclasses.replace(SCRATCH, vocabulary=BYTE_PAIR, model_file="models/gpt2/tiny.gin"))
    vocabulary, train = commands.given
    assert {"--kind=bpe", "--size=4096", f"--output={tmp_path / 'vocabulary.bpe'}"} <= {*vocabulary}
    assert f"--gin.VOCABULARY={str(tmp_path / 'vocabulary.bpe')!r}" in train
    lab.vocabulary()
    assert "--kind=bpe" not in commands.given[-1] and "--size=3996" in commands.given[-1]


def test_a_vocabulary_of_few_pieces_makes_a_smaller_model(tmp_path, commands):
    """A quarter of the pieces, and of the rows of the embedding."""
    lab = Lab(tmp_path)
    for kind, size in ((FEW_PIECES, "--size=999"), (FEW_WORD_PIECES, "--size=1152")):
        lab.train(dataclasses.replace(SCRATCH, name=kind, vocabulary=kind))
        vocabulary, train = commands.given[-2:]
        assert size in vocabulary and "--task=experiments_wikitext" in vocabulary
        assert "--gin.VOCAB_SIZE=1152" in train


def test_a_run_may_start_from_a_directory(tmp_path, commands):
    """Which is asked for when it is needed, and counts no steps."""
    run = dataclasses.replace(SCRATCH, vocabulary=None, directory=lambda lab: lab.output / "hf")
    Lab(tmp_path).train(run)
    (train,) = commands.given
    assert f"--gin.INITIAL_CHECKPOINT_PATH={str(tmp_path / 'hf')!r}" in train
    assert run.last_step == run.steps


def test_settings_of_an_evaluation_override_those_of_all(tmp_path, commands):
    lab = Lab(tmp_path)
    lab.decode(SCRATCH, "a_task", settings={"BATCH_SIZE": 7, "TASK_FILES": "files"})
    words = commands.given[-1]
    assert "--gin.BATCH_SIZE=7" in words and "--gin.BATCH_SIZE=64" not in words
    assert "--gin.TASK_FILES='files'" in words


def test_a_task_with_a_vocabulary_of_its_own_needs_none(tmp_path, commands):
    Lab(tmp_path).train(dataclasses.replace(SCRATCH, vocabulary=None))
    (train,) = commands.given
    assert "--gin.VOCABULARY=None" in train


def test_a_run_that_was_killed_is_started_again_with_the_same_words(tmp_path, commands):
    lab = Lab(tmp_path)
    lab.vocabulary()
    commands.statuses.append(75)
    with pytest.raises(SystemExit, match="t5x_lite train ended with 75"):
        lab.train(SCRATCH)
    Lab(tmp_path).train(SCRATCH)
    assert commands.given[1] == commands.given[2]


def test_a_run_that_was_killed_behind_its_last_checkpoint_is_done(tmp_path, commands):
    (tmp_path / "runs/one/seed_0/checkpoint_10").mkdir(parents=True)
    Lab(tmp_path).train(SCRATCH)
    assert kinds(commands) == ["vocab"]


def test_other_settings_are_refused_by_name(tmp_path, commands):
    Lab(tmp_path).train(SCRATCH)
    other = Run(SCRATCH.name, 10, 0, {"BATCH_SIZE": 8})
    with pytest.raises(ValueError, match="--gin.BATCH_SIZE=4, --gin.BATCH_SIZE=8"):
        Lab(tmp_path).train(other)


def test_an_ensemble_is_decoded_into_a_folder_of_its_own(tmp_path, commands):
    lab = Lab(tmp_path)
    folder = lab.decode(SCRATCH, "a_task", members=[CHILD], output="both")
    assert folder == tmp_path / "runs" / "both"
    members = repr((str(tmp_path / "runs/two/seed_0"),))
    assert f"--gin.ENSEMBLE_PATHS={members}" in commands.given[-1]
    assert lab.decode(SCRATCH, "a_task") == tmp_path / "runs/one/seed_0"


def test_time_is_that_of_all_parts_of_what_was_asked_for(tmp_path, commands):
    """Also if it was run before, and of interrupted runs every part."""
    lab = Lab(tmp_path)
    lab.vocabulary()
    commands.statuses.append(75)
    with pytest.raises(SystemExit):
        lab.train(SCRATCH)
    Lab(tmp_path).train(SCRATCH)
    note = tmp_path / "runs/one/seed_0/train.json"
    known = json.loads(note.read_text())
    assert len(known["parts"]) == 2
    parts = [{"seconds": 100.0, "cpu_seconds": 60.0}, {"seconds": 20.0, "cpu_seconds": 5.0}]
    note.write_text(json.dumps({**known, "parts": parts}))
    again = Lab(tmp_path)
    again.train(SCRATCH)
    spent = again.spent()
    assert spent["seconds"] == pytest.approx(120.0, abs=1.0)
    assert spent["cpu_seconds"] == pytest.approx(65.0, abs=1.0)
    assert again.spent() == {"seconds": 0, "cpu_seconds": 0}


def test_progress_is_said_and_everything_is_logged(tmp_path):
    said = []
    with (tmp_path / "log").open("w") as log:
        out = Forward(log, "one", said.append)
        print("a table of parameters\ntrain 5/10  loss", file=out, end="")
        print(" 4.0\nend", file=out)
    assert said == ["  one  train 5/10  loss 4.0"]
    assert (tmp_path / "log").read_text().endswith("train 5/10  loss 4.0\nend\n")


def every_run():
    lab = object.__new__(Lab)
    lab.scale = FULL
    yield pretraining.pretraining(lab, 0)
    yield pretraining.untrained(lab, 1)
    for task in (finetuning.SST2, finetuning.ENDE):
        yield finetuning.from_wikitext(lab, task, 2)
        yield transfer.tuned(lab, task, 3, None)
        yield transfer.tuned(lab, task, 1, 1 / 8)
    yield transfer.tuned(lab, finetuning.ENDE, 1, 1.0, transfer.TRANSLATION_BUDGET)
    yield transfer.pretraining(lab, 0)
    yield from (repetition.training(lab, arm, 0) for arm in repetition.ARMS)
    yield from (architectures.training(lab, arm, 0) for arm in architectures.ARMS)
    yield adapters.finetuning_of(lab, 64, 0)
    yield mixture.training(lab, 0)
    yield language_model.training(lab, 0)
    yield in_context.training(lab, 0)


@pytest.mark.parametrize("run", list(every_run()), ids=lambda run: run.name)
def test_every_command_is_one_that_t5x_lite_accepts(run, tmp_path, capsys):
    words = runs.train_words(
        run, model_dir="runs/it", vocabulary="v.model", parent_dir="runs/parent"
    )
    assert cli.main([*words, "--dry_run"]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert f"TRAIN_STEPS_RELATIVE = {run.steps}" in shown


def test_seeds_beyond_those_of_the_pretraining_use_them_again():
    lab = object.__new__(Lab)
    lab.scale = FULL
    names = [finetuning.from_wikitext(lab, finetuning.ENDE, s).start_from.name for s in range(4)]
    assert names == [f"pretrain/seed_{seed}" for seed in (0, 1, 2, 0)]


def test_a_decaying_learning_rate_counts_the_steps_of_the_parent():
    settings = CHILD.decaying.settings
    assert settings["WARMUP_STEPS"] == 12
    assert settings["ScheduleConfig.total_steps"] == CHILD.last_step == 15


def test_a_fresh_optimizer_counts_from_zero_and_may_start_from_an_earlier_checkpoint():
    fresh = dataclasses.replace(CHILD, fresh=True, start_step=6)
    assert (fresh.parent_step, fresh.first_step, fresh.last_step) == (6, 0, 5)
    words = runs.train_words(fresh, model_dir="m", vocabulary="v", parent_dir="p")
    assert "--gin.RESTORE_OPTIMIZER=False" in words
    words = runs.train_words(CHILD, model_dir="m", vocabulary="v", parent_dir="p")
    assert not [word for word in words if "RESTORE_OPTIMIZER" in word]
