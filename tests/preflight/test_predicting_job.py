"""`t5x_lite check` of evaluation and inference: the checkpoint says which model is looked at."""

import json

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.model import transformer
from t5x_lite.testing import tiny_model


@pytest.fixture(scope="module")
def byt5(tmp_path_factory):
    """A tiny model of bytes as a Hugging Face directory."""
    folder, model = tmp_path_factory.mktemp("byt5"), tiny_model(vocab_size=384)
    shapes = transformer.abstract_parameters(model)
    huggingface.save(
        folder, model, jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    )
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "ByT5Tokenizer"}))
    return folder


def job(kind, path, tmp_path, *words):
    """The command line of a job that is sound but for the words added."""
    name = "EVAL" if kind == "eval" else "INFER"
    return [
        f"--job={kind}",
        f"--gin_file=recipes/{kind}.gin",
        f"--gin.CHECKPOINT_PATH={path}",
        f"--gin.{name}_OUTPUT_DIR={tmp_path / 'out'}",
        "--gin.MIXTURE_OR_TASK_NAME=check_words",
        "--gin.TASK_FEATURE_LENGTHS={'inputs': 16, 'targets': 16}",
        "--gin.SPLIT=validation",
        *words,
    ]


@pytest.mark.parametrize("kind", ["eval", "infer"])
def test_a_sound_job_has_nothing_to_fix(check, byt5, tmp_path, kind):
    status, findings, _ = check(*job(kind, byt5, tmp_path))
    texts = {subject: text for _, subject, text in findings}
    assert status == 0, findings
    assert f"{byt5}: step 0" in texts["checkpoint"]
    assert "data=8 x model=1, 32 rows a batch" in texts["mesh and batch"]
    assert "inputs     4 ids: afk" in texts["example, examples"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["eval", "infer"])
def test_a_task_of_a_mixture_without_an_example_is_a_note(check, byt5, tmp_path, kind):
    """The job leaves it out, too."""
    words = job(kind, byt5, tmp_path, "--gin.MIXTURE_OR_TASK_NAME=check_some_held_out")
    status, findings, _ = check(*words)
    assert status == 0, findings
    said = "left out: check_train_only, whose split has no examples"
    assert ("note", "example, examples", said) in findings


def test_all_mistakes_of_an_evaluation_are_shown(check, byt5, tmp_path):
    status, findings, _ = check(
        *job("eval", byt5, tmp_path, "--gin.BATCH_SIZE=10", "--gin.SPLIT=test"),
        "--gin_file=models/t5_1_1/tiny.gin",
        "--gin.VOCAB_SIZE=128",
        "--gin.EVAL_OUTPUT_DIR=/dev/null/out",
    )
    to_fix = [(subject, text) for kind, subject, text in findings if kind == "FIX"]
    expected = [
        ("checkpoint", "vocab_size: 128 in the job, 384 in the checkpoint"),
        ("output", "--gin.EVAL_OUTPUT_DIR=..."),
        ("data, examples", "has no split 'test'"),
        ("data, examples", "--gin.VOCAB_SIZE=384"),
    ]
    assert status == 2
    for (subject, text), (where, what) in zip(to_fix, expected, strict=True):
        assert (subject, what in text) == (where, True), text


@pytest.mark.parametrize("kind", ["eval", "infer"])
def test_a_way_of_decoding_that_the_model_has_not_is_found(check, byt5, tmp_path, kind):
    """It writes token after token; to score and to encode is to decode nothing."""
    words = job(kind, byt5, tmp_path, "--gin_file=decoding/mask_predict.gin")
    status, findings, _ = check(*words)
    to_fix = [text for kind, _, text in findings if kind == "FIX"]
    assert status == 2 and len(to_fix) == 1 and "--gin_file=decoding/greedy.gin" in to_fix[0]
    if kind == "infer":
        status, findings, _ = check(*words, "--gin.MODE='score'")
        assert status == 0 and "decoding" not in {subject for _, subject, _ in findings}


def test_without_a_checkpoint_the_data_is_looked_at_all_the_same(check, tmp_path):
    words = job("infer", tmp_path / "no", tmp_path, "--gin.MIXTURE_OR_TASK_NAME=check_word")
    _, findings, _ = check(*words)
    to_fix = [(subject, text) for kind, subject, text in findings if kind == "FIX"]
    assert [subject for subject, _ in to_fix] == ["checkpoint", "data, examples"]
    assert "Did you mean check_words" in to_fix[1][1]


def test_a_file_of_inputs_is_read_with_the_checkpoints_vocabulary(check, byt5, tmp_path):
    path = tmp_path / "inputs.jsonl"
    words = [
        *("--job=infer", "--gin_file=recipes/infer_file.gin", f"--gin.CHECKPOINT_PATH={byt5}"),
        *(f"--gin.INFER_OUTPUT_DIR={tmp_path / 'out'}", f"--gin.INPUT_FILE={path}"),
    ]
    path.write_text('{"inputs": "one"}\n')
    status, findings, _ = check(*words)
    assert (status, findings[-1][1]) == (0, "input file")
    assert "inputs    4 ids: one" in findings[-1][2]
    path.write_text('{"input": "one"}\n')
    status, findings, _ = check(*words, "--shard_id=3", "--gin.NUM_SHARDS=4")
    assert (status, findings[-1][0]) == (2, "FIX")
    assert "line 1: needed is" in findings[-1][2]
