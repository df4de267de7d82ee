"""`t5x_lite check` of a training job: all mistakes at once, each with its fix, nothing written."""

import dataclasses
import math
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from t5x_lite import config
from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.data.batches import Batches
from t5x_lite.data.vocabulary_files import vocabulary_files
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.preflight import first_loss
from t5x_lite.testing import tiny_model
from t5x_lite.training import loop
from t5x_lite.training.state import make_factory


def to_fix(findings):
    """What is to fix: subject and text."""
    return [(subject, text) for kind, subject, text in findings if kind == "FIX"]


def save(job, folder, step, *, files=None):
    """A checkpoint of a job."""
    factory = make_factory(job, make_partitioner(PartitioningConfig()))
    state = dataclasses.replace(factory.initialize(0), step=jax.numpy.int32(step))
    checkpoints = Checkpoints(folder, SaveCheckpointConfig(period=1))
    checkpoints.save(step, state, describe_run("", job.model), files)
    checkpoints.close()


def test_a_sound_job_has_nothing_to_fix_and_nothing_is_written(check, train_words, contents):
    before = contents()
    status, findings, last = check(*train_words)
    assert (status, {kind for kind, *_ in findings}) == (0, {"ok"})
    assert last.startswith("nothing to fix; checked in ")
    texts = {subject: text for _, subject, text in findings}
    assert "check_words\ninputs     4 ids: afk\ntargets    4 ids: afk" in texts["example, train"]
    assert "data=4 x model=2, 8 rows a batch" in texts["mesh and batch"]
    assert "starts from scratch, seed 0; steps 0 to 100" in texts["start"]
    assert "(the model was reduced to 2 layers of width 64" in texts["first loss"]
    assert contents() == before


def test_six_mistakes_are_six_findings_each_with_its_fix(check_train, tmp_path):
    (tmp_path / "file").write_text("")
    status, findings, last = check_train(
        "--gin.BATCH_SIZE=10",
        "--gin.VOCAB_SIZE=130",
        "--gin.TASK_FEATURE_LENGTHS={'inputs': 16, 'target': 16}",
        "--gin.train_eval/DatasetConfig.split=test",
        f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path / 'nothing'}",
        f"--gin.MODEL_DIR={tmp_path / 'file' / 'run'}",
    )
    expected = [
        ("mesh and batch", "10 rows does not divide", "8 and 12: --gin.BATCH_SIZE=8"),
        ("start", f"no checkpoint at {tmp_path / 'nothing'}", "--gin.INITIAL_CHECKPOINT_PATH=..."),
        ("model_dir", f"{tmp_path / 'file'} is a file", "--gin.MODEL_DIR=..."),
        ("data, train", "do not match check_words", "--gin.TASK_FEATURE_LENGTHS="),
        ("data, train", "259 ids, the model's vocab_size is 130", "--gin.VOCAB_SIZE=384"),
        ("data, held out", "has no split 'test'", "It has train, validation"),
    ]
    for (subject, text), (where, what, fix) in zip(to_fix(findings), expected, strict=True):
        assert (subject, what in text, fix in text) == (where, True, True), text
    assert (status, last.partition(";")[0]) == (2, "6 to fix")
    left_out = {subject: text for kind, subject, text in findings if kind == "-"}
    assert left_out["first loss"] == "not checked, because of data, train"


def test_a_configuration_that_cannot_be_read_shows_all_of_its_problems(check_train):
    status, findings, last = check_train("--gin.TRAIN_STEP=1", "--gin.BATCH_SIZE='eight'")
    subjects = [(kind, subject) for kind, subject, _ in findings]
    assert subjects == [("FIX", "configuration")] * 2 + [("-", "the rest")]
    assert "did you mean TRAIN_STEPS?" in str(findings)
    assert (status, last.partition(";")[0]) == (2, "2 to fix")


def test_a_vocabulary_that_is_not_there_hides_no_other_mistake_in_the_data(check_train):
    words = ["--gin.VOCABULARY=/no/v.model", "--gin.train_eval/DatasetConfig.split=test"]
    status, findings, _ = check_train(*words)
    assert [subject for subject, _ in to_fix(findings)] == ["vocabulary", "data, held out"]
    assert status == 2


def test_a_vocabulary_whose_texts_do_not_end_with_1_is_refused(check_train):
    """A vocabulary of SeqIO's own; nothing is built of it."""
    _, findings, _ = check_train("--gin.MIXTURE_OR_TASK_NAME=check_codepoints")
    subjects = {subject for subject, text in to_fix(findings) if "pad_id=0, eos_id=57349" in text}
    assert subjects == {"data, train"}, "of the others: the same as above"


def test_a_task_that_raises_is_shown_with_its_error_and_place(check_train):
    _, findings, _ = check_train("--gin.MIXTURE_OR_TASK_NAME=check_broken")
    [(subject, text)] = to_fix(findings)
    assert subject == "example, train"
    assert "KeyError" in text
    assert "txet" in text
    assert 'conftest.py", line ' in text
    assert ("-", "example, held out", "the same as above") in findings


def test_targets_without_a_token_are_found(check_train):
    _, findings, _ = check_train("--gin.MIXTURE_OR_TASK_NAME=check_empty")
    [(_, text)] = to_fix(findings)
    assert "check_empty: the first example has no targets" in text


def test_held_out_tasks_without_an_example_are_a_note_and_all_of_them_a_mistake(check_train):
    """As training does it: one empty file takes no other score away."""
    status, findings, _ = check_train("--gin.MIXTURE_OR_TASK_NAME=check_some_held_out")
    [(_, subject, text)] = [each for each in findings if each[0] == "note"]
    said = "left out: check_train_only, whose split has no examples"
    assert (status, subject, text) == (0, "example, held out", said)
    _, findings, _ = check_train("--gin.MIXTURE_OR_TASK_NAME=check_train_only")
    [(subject, text)] = to_fix(findings)
    assert (subject, "has no examples" in text, "EVAL_SPLIT" in text) == (
        "example, held out",
        True,
        True,
    )


def test_what_cannot_be_positioned_is_a_note(check_train):
    """A generator of one task of a mixture: training goes, restarts are slow."""
    status, findings, _ = check_train("--gin.MIXTURE_OR_TASK_NAME=check_both")
    [note] = [finding for finding in findings if finding[0] == "note"]
    assert (status, note[1]) == (0, "restarts")
    assert note[2].startswith("task check_generated runs Python code within tf.data")


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--gin.NUM_PARTITIONS=3"], "num_partitions=3 does not divide the 8 devices"),
        (["--gin.NUM_MICROBATCHES=3"], "NUM_MICROBATCHES=3 does not fit a batch of 8 rows"),
        (["--process_count=3"], "--process_count=3 processes cannot share 8 devices evenly"),
        (["--process_count=4", "--gin.NUM_DATA_SHARDS=2"], "num_data_shards=2 cannot be split"),
        (
            ["--gin.PARAMETER_GROUPS=(@x/ParameterGroup(),)", "--gin.x/ParameterGroup.pattern=qq"],
            "qq",
        ),
    ],
)
def test_what_does_not_divide_or_match_is_found_without_the_devices(check_train, words, expected):
    status, findings, _ = check_train(*words)
    assert status == 2
    assert expected in to_fix(findings)[0][1]


def test_batches_that_are_decoded_are_filled_up_and_those_of_a_loss_divide(check_train, resolve):
    """By the one rule of the check and of the run itself."""
    decoded = [
        "--gin.INFER_EVAL_DATASET=@infer_eval/DatasetConfig()",
        "--gin.infer_eval/DatasetConfig.batch_size=6",
        "--gin.NUM_DATA_SHARDS=4",
    ]
    assert to_fix(check_train(*decoded)[1]) == []
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    loop._check_data(resolve(*decoded), partitioner)
    held_out = "--gin.train_eval/DatasetConfig.batch_size=6"
    assert "6 rows does not divide" in to_fix(check_train(held_out)[1])[0][1]
    with pytest.raises(ValueError, match="6 rows does not divide"):
        loop._check_data(resolve(held_out), partitioner)


def test_a_way_of_decoding_that_the_model_has_not_is_found(check_train):
    """Before it is trained: what it will not do is known from its form."""
    status, findings, _ = check_train(
        "--gin.INFER_EVAL_DATASET=@infer_eval/DatasetConfig()", "--gin_file=decoding/sundae.gin"
    )
    assert status == 2
    assert "--gin_file=decoding/greedy.gin" in dict(to_fix(findings))["decoding"]


def test_a_full_disk_is_told_beforehand(check_train, monkeypatch):
    monkeypatch.setattr("t5x_lite.preflight.places.room_in", lambda directory: 1000)
    _, findings, _ = check_train()
    [(subject, text)] = to_fix(findings)
    assert subject == "model_dir"
    assert "free are 1 kB: make room, keep fewer (--gin.KEEP_CHECKPOINTS=..., now 3)" in text


def test_a_directory_that_cannot_be_written_is_named(check_train, monkeypatch):
    def refuse(**settings):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    _, findings, _ = check_train()
    assert "(Read-only file system): give a directory" in to_fix(findings)[0][1]


def test_a_teacher_is_looked_at_and_hides_nothing(check_train, resolve, tmp_path):
    """One that is there, one that is not, one of another width."""
    model = resolve().model
    parameters = transformer.init_parameters(model, jax.random.key(0))
    huggingface.save(tmp_path / "teacher", model, parameters)
    taught = ["--gin_file=compression/distil.gin", f"--gin.TEACHER_PATH={tmp_path / 'teacher'}"]
    status, findings, _ = check_train(*taught)
    (text,) = [text for kind, subject, text in findings if (kind, subject) == ("ok", "teacher")]
    assert status == 0 and "frozen and not saved" in text
    assert "teacher's words" in [subject for _, subject, _ in findings]
    wrong = {
        "not there": (["--gin.TEACHER_PATH=nowhere"], "no checkpoint at .*nowhere"),
        "narrow": (
            ["--gin.EMBED_DIM=64", "--gin.TrainConfig.loss=(@MatchDirectionConfig(),)"],
            "MatchDirectionConfig: last hidden states of width 64 of the student and",
        ),
    }
    for words, message in wrong.values():
        status, findings, _ = check_train(*taught, *words, "--gin.BATCH_SIZE=7")
        to_fix = {subject: text for kind, subject, text in findings if kind == "FIX"}
        assert status == 2 and re.search(message, to_fix["teacher"])
        assert "--gin." in to_fix["teacher"] and "mesh and batch" in to_fix


def test_another_model_than_the_checkpoints_is_compared_without_reading_it(
    check_train, resolve, contents, tmp_path
):
    """The fields that differ, and the file of ours that fits."""
    job = resolve()
    save(job, tmp_path / "initial", 5)
    initial = f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path / 'initial'}"
    before = contents()
    status, findings, _ = check_train(initial)
    assert status == 0
    texts = {subject: text for _, subject, text in findings}
    assert "optimizer and step included; steps 5 to 100" in texts["start"]
    _, findings, _ = check_train(initial, "--gin.MLP_DIM=1024")
    [(subject, text)] = to_fix(findings)
    assert subject == "start"
    assert "mlp_dim: 1024 in the job" in text
    assert "The config that fits: --gin_file=models/t5_1_1/tiny.gin --gin.VOCAB_SIZE=384" in text
    _, findings, _ = check_train(initial, "--gin.OPTIMIZER=@AdamWConfig()")
    assert "does not fit the optimizer of this job" in to_fix(findings)[0][1]
    _, findings, _ = check_train(initial, "--gin.TRAIN_STEPS=5")
    assert "this run would train no step" in to_fix(findings)[0][1]
    assert contents() == before


def test_a_run_that_continues_is_compared_with_its_data(check_train, resolve, tmp_path):
    """Another batch size would reorder the examples; another vocabulary would change the words."""
    job = resolve()
    batches = Batches(job.dataset, ModelFeatures(Layout.ENCODER_DECODER))
    next(batches)
    files = {"dataset": batches.position(1), "vocabulary": vocabulary_files("check_words")}
    batches.close()
    save(job, tmp_path / "run", 1, files=files)
    status, findings, _ = check_train()
    texts = {subject: text for _, subject, text in findings}
    assert status == 0
    assert "continues from" in texts["start"]
    assert "3 more checkpoints" in texts["model_dir"]
    assert texts["its vocabulary"] == "the same as the checkpoint's"
    assert "goes on at the positions in" in texts["its data position"]
    _, findings, _ = check_train("--gin.BATCH_SIZE=16")
    [(subject, text)] = to_fix(findings)
    assert subject == "its data position"
    assert "batch_size: 8 in the checkpoint, 16 now" in text
    # A damaged one is passed over, or all there is.
    (tmp_path / "run" / "checkpoint_1" / "manifest.json").unlink()
    _, findings, _ = check_train()
    assert "every checkpoint in" in to_fix(findings)[0][1]
    assert (tmp_path / "run" / "checkpoint_1").is_dir(), "nothing is moved aside"


def test_a_hugging_face_model_is_opened_but_not_read(check_train, resolve, tmp_path):
    job = resolve()
    parameters = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), transformer.abstract_parameters(job.model)
    )
    huggingface.save(tmp_path / "hf", job.model, parameters)
    status, findings, _ = check_train(f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path / 'hf'}")
    assert status == 0
    kinds = {subject: (kind, text) for kind, subject, text in findings}
    assert "starts from the Hugging Face model" in kinds["start"][1]
    assert kinds["its vocabulary"][0] == "note"


@pytest.mark.parametrize("layout", [each for each in Layout if each is not Layout.ENCODER])
def test_fresh_parameters_cost_what_chance_costs(layout, resolve):
    """Whatever the architecture and its size: the proxy alone is run."""
    job = resolve()
    big = tiny_model(384, layout)
    job = dataclasses.replace(job, model=dataclasses.replace(big, scale_logits=True))
    [(_, text)] = first_loss.check(job)
    assert abs(float(text.split()[0]) - math.log(384)) < 1


def test_logits_of_a_wrong_scale_are_caught(resolve):
    """T5 v1.0's tied embedding without its factor."""
    tied = ("--gin.ModelConfig.logits_via_embedding=True", "--gin.ModelConfig.scale_logits=False")
    with pytest.raises(ValueError, match="wrong scale.*--gin.ModelConfig.scale_logits=True"):
        list(first_loss.check(resolve(*tied)))


def test_a_proxy_is_shallow_and_narrow_whatever_the_model():
    big = config.resolve(ModelConfig, ["models/t5_1_1/xxl.gin"]).config
    model = first_loss.proxy(big)
    assert transformer.num_parameters(model) < 2 * 64 * big.vocab_size + 200_000
    assert (model.vocab_size, model.logits_via_embedding) == (32128, False)


@pytest.mark.slow
def test_the_command_looks_at_11_billion_parameters_on_256_devices(train_words, users_shell):
    """Nothing of their size is made, so a laptop does it."""
    words = ["--gin_file=models/t5_1_1/xxl.gin", *train_words[1:], "--module_import=conftest"]
    words += ["--cpu_devices=256", "--gin.BATCH_SIZE=256", "--gin.KEEP_CHECKPOINTS=1"]
    done = subprocess.run(
        [sys.executable, "-m", "t5x_lite", "check", *words],
        cwd=pathlib.Path(__file__).parent,
        env=users_shell,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "data=128 x model=2, 256 rows a batch" in done.stdout, done.stderr
    assert "by chance ln(vocabulary) = 5.95" in done.stdout
