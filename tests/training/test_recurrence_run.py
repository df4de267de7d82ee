"""Recurrence from the command line: started from a plain GPT-2, killed, resumed, asked."""

import json
import pathlib

import jax
import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import pretrained
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

pytestmark = pytest.mark.usefixtures("two_devices")

PIECES = 300
MODEL = [
    "--gin_file=models/gpt2/tiny.gin",
    f"--gin.VOCAB_SIZE={PIECES}",
    f"--gin.END_TOKEN={PIECES - 1}",
    "--gin.MAX_LENGTH=16",
    "--gin.EMBED_DIM=32",
    "--gin.MLP_DIM=64",
    "--gin.HEAD_DIM=8",
    "--gin.DROPOUT_RATE=0.1",
]
DATA = [
    "--module_import=toy_texts",
    "--gin.MIXTURE_OR_TASK_NAME=toy_documents",
    "--gin.BATCH_SIZE=8",
    "--gin.NUM_PARTITIONS=2",
    "--gin.LEARNING_RATE=0.003",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_PERIOD=1000",
    "--gin.EVAL_STEPS=1",
    "--gin.INFER_EVAL_DATASET=None",
    "--gin.LOG_PERIOD=1",
]
RECURRENCE = [
    "--gin_file=finetuning/recurrence.gin",
    "--gin.RECURRENCE_WINDOW=8",
    "--gin.EXTRACT_LAYER=1",
    "--gin.INSERT_LAYER=0",
    "--gin.NUM_MEMORIES=2",
    "--gin.RECURRENCE_TRUNCATION=3",
    "--gin.RECURRENCE_DIM=16",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    monkeypatch.chdir(pathlib.Path(__file__).parent)


def run(*words, returns=0):
    assert cli.main([str(word) for word in words]) == returns


def parameters_of(path):
    one = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    model = pretrained.describe(path).model
    return model, jax.device_get(pretrained.load_parameters(path, model, one)[0])


def more(folder, own, steps, *words, start="plain", length=36):
    """Fine-tuning from the plain model: rows of four windows and a half."""
    return [
        "train",
        *MODEL,
        "--gin_file=recipes/finetune.gin",
        *RECURRENCE,
        *DATA,
        f"--gin.VOCABULARY={folder / 'bpe'}",
        f"--gin.TASK_FEATURE_LENGTHS={{'targets': {length}}}",
        f"--gin.INITIAL_CHECKPOINT_PATH={folder / start}",
        f"--gin.TRAIN_STEPS={steps}",
        f"--gin.MODEL_DIR={own}",
        *words,
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A vocabulary, two steps of a plain model, and three more with a memory."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        words = ["vocab", "--kind=bpe", "--task=toy_texts", "--module_import=toy_texts"]
        run(*words, f"--size={PIECES}", f"--output={folder / 'bpe'}")
        files = [*MODEL, "--gin_file=recipes/pretrain.gin", *DATA]
        given = [f"--gin.VOCABULARY={folder / 'bpe'}", f"--gin.MODEL_DIR={folder / 'plain'}"]
        lengths = "--gin.TASK_FEATURE_LENGTHS={'targets': 16}"
        run("train", *files, *given, lengths, "--gin.TRAIN_STEPS=2")
        run(*more(folder, folder / "whole", 5))
    return folder


def test_it_starts_from_a_plain_model_and_says_what_it_is(runs, capsys):
    """Slots and step come along, the network begins anew, and everything trains."""
    model, parameters = parameters_of(runs / "whole")
    assert model.recurrence.window == 8 and model.recurrence.num_memories == 2
    assert parameters["recurrence"]["first_key"].shape == (2, 4, 8)
    lines = (runs / "whole" / "train" / "metrics.jsonl").read_text().splitlines()
    assert all(np.isfinite(json.loads(line)["loss"]) for line in lines)
    run("inspect", runs / "whole")
    said = " ".join(capsys.readouterr().out.split())
    assert "windows of 8 with 2 memories of the one before" in said
    run(*more(runs, runs / "again", 3, "--dry_run"))


@pytest.mark.slow
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(runs, tmp_path):
    """To the last bit."""
    for steps in (3, 5):
        run(*more(runs, tmp_path, steps))
    one, other = parameters_of(tmp_path), parameters_of(runs / "whole")
    assert one[0] == other[0]
    jax.tree.map(np.testing.assert_array_equal, one[1], other[1])


def test_texts_are_longer_than_the_positions_that_are_learned(runs):
    """Read, scored, written in windows: what a beam of one writes, greedy decoding does, and its
    log-probability is what scoring says.
    """
    model = t5x_lite.load(runs / "whole", batch_size=8)
    texts = ["kalo", "lomi tuka soru velda " * 6]
    assert len(model.tokenizer.encode(texts[1])) > 32
    outputs = [each[0] for each in model.outputs(texts)]
    assert max(len(output.ids) for output in outputs) > 40
    ids = [list(output.ids) for output in outputs]
    prompts = [model.tokenizer.encode(text) for text in texts]
    scores = model.engine.score(prompts, ids, batch_size=8)
    found = [output.log_prob for output in outputs]
    np.testing.assert_allclose(found, [each.sum() for each in scores], rtol=1e-4)
    beams = model.generate(texts, strategy="beam", beam_size=1, alpha=0.0)
    assert beams == [output.text for output in outputs]
    two = model.generate(texts * 5, num_decodes=2, strategy="beam", beam_size=2)
    assert two[:2] == two[2:4]
    with pytest.raises(t5x_lite.errors.UserError, match="cannot take back tokens"):
        model.generate(texts, strategy="exact")


@pytest.mark.slow
def test_whole_documents_are_evaluated_and_texts_of_a_file_continued(runs, tmp_path):
    """From the checkpoint alone, which knows its windows."""
    task = ["--module_import=toy_texts", "--gin.MIXTURE_OR_TASK_NAME=toy_whole_documents"]
    checkpoint = f"--gin.CHECKPOINT_PATH={runs / 'whole'}"
    words = ["eval", "--gin_file=recipes/eval.gin", *task, checkpoint, "--gin.SPLIT=validation"]
    run(*words, f"--gin.EVAL_OUTPUT_DIR={tmp_path}", "--gin.MAX_DECODE_LENGTH=12")
    scores = (tmp_path / "inference_eval" / "toy_whole_documents-metrics.jsonl").read_text()
    assert 0 < json.loads(scores.splitlines()[0])["bpb"] < 20
    texts = tmp_path / "texts.txt"
    texts.write_text("kalo\n" + "lomi tuka soru " * 9 + "\n")
    infer = ["infer", "--gin_file=recipes/infer_file.gin", checkpoint]
    run(*infer, f"--gin.INPUT_FILE={texts}", f"--gin.INFER_OUTPUT_DIR={tmp_path}")
    (written,) = tmp_path.glob("texts-predict.jsonl-*-of-00001")
    assert len(written.read_text().splitlines()) == 2


@pytest.mark.slow
def test_it_starts_from_a_hugging_face_directory_and_does_not_go_back(runs, tmp_path, capsys):
    """Whose formats have no memory."""
    run("export", runs / "plain", "--format=huggingface", f"--output={runs / 'hf'}")
    run(*more(runs, tmp_path / "run", 1, "--gin.RESTORE_OPTIMIZER=False", start="hf"))
    assert "recurrence/key/kernel" in capsys.readouterr().out
    run("export", runs / "whole", "--format=huggingface", f"--output={tmp_path}/out", returns=2)
    assert "a memory between windows (recurrence)" in capsys.readouterr().err


def test_what_does_not_fit_is_one_error(runs, tmp_path, capsys):
    for words, message in (
        (["--gin.PACK=True"], "a model that reads in windows: a row is one text"),
        (["--gin.RECURRENCE_WINDOW=17"], "window=17 in a model that has learned 16 positions"),
        (["--gin.INSERT_LAYER=2"], "insert_layer=2 in a decoder of 2 layers"),
        (["--gin.NUM_MEMORIES=-1"], "num_memories=-1: needed is at least 0"),
    ):
        capsys.readouterr()
        run(*more(runs, tmp_path, 3, *words), returns=2)
        said = capsys.readouterr().err
        assert message in said and "Traceback" not in said
