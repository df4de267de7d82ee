"""GPT-2 through the ordinary commands: byte-level BPE inside tf.data, and nothing lost."""

import json
import pathlib
import re

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
END = PIECES - 1
FLAGS = [
    "--module_import=toy_texts",
    "--gin.MIXTURE_OR_TASK_NAME=toy_texts",
    "--gin.TASK_FEATURE_LENGTHS={'targets': 32}",
    f"--gin.VOCAB_SIZE={PIECES}",
    f"--gin.END_TOKEN={END}",
    "--gin.MAX_LENGTH=32",
    "--gin.EMBED_DIM=32",
    "--gin.MLP_DIM=64",
    "--gin.HEAD_DIM=8",
    "--gin.NUM_PARTITIONS=2",
    "--gin.BATCH_SIZE=8",
    "--gin.DROPOUT_RATE=0.1",
    "--gin.LEARNING_RATE_FACTORS=constant",
    "--gin.LEARNING_RATE=0.01",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_PERIOD=1000",
    "--gin.EVAL_STEPS=2",
    "--gin.CHECKPOINT_PERIOD=4",
    "--gin.LOG_PERIOD=1",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    """--module_import finds toy_texts from the working directory, as users' modules are."""
    monkeypatch.chdir(pathlib.Path(__file__).parent)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A folder with a byte-level BPE of the task's text."""
    folder = tmp_path_factory.mktemp("vocabulary") / "bpe"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        words = ["vocab", "--kind=bpe", "--task=toy_texts", "--module_import=toy_texts"]
        assert cli.main([*words, f"--size={PIECES}", f"--output={folder}"]) == 0
    return folder


def train(model_dir, vocabulary, steps, *more):
    files = ["--gin_file=models/gpt2/tiny.gin", "--gin_file=recipes/pretrain.gin"]
    words = [*files, *FLAGS, f"--gin.VOCABULARY={vocabulary}", f"--gin.MODEL_DIR={model_dir}"]
    assert cli.main(["train", *words, f"--gin.TRAIN_STEPS={steps}", *more]) == 0
    lines = (model_dir / "train" / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


@pytest.fixture(scope="module")
def trained(vocabulary, tmp_path_factory):
    """A model directory of eight steps in one go, and its losses."""
    model_dir = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        return model_dir, train(model_dir, vocabulary, 8)


def parameters_of(model_dir):
    model = pretrained.describe(model_dir).model
    return jax.device_get(
        pretrained.load_parameters(model_dir, model, make_partitioner(PartitioningConfig()))[0]
    )


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(trained, vocabulary, tmp_path):
    """INV-10: four steps, then eight, are the eight, bit for bit, with dropout; the byte-pair
    encoding inside tf.data has a position that is saved, so nothing is read again.
    """
    whole_dir, whole = trained
    first = train(tmp_path, vocabulary, 4)
    assert list((tmp_path / "checkpoint_4/dataset").glob("*.snapshot"))
    second = train(tmp_path, vocabulary, 8)
    assert first == {step: whole[step] for step in range(1, 5)}
    assert {step: second[step] for step in whole} == whole
    assert len(set(whole.values())) == 8
    jax.tree.map(np.testing.assert_array_equal, parameters_of(tmp_path), parameters_of(whole_dir))


def test_what_was_trained_answers_by_its_own_vocabulary(trained):
    """Prompts go on in the target: no end token behind them, none in front."""
    model = t5x_lite.load(trained[0], num_partitions=2)
    assert model.engine.special.end == END
    assert model._inputs(["kalo mimi", ""]) == [model.tokenizer.encode("kalo mimi"), []]
    answers = model.generate(["kalo", ""], max_decode_length=4)
    assert len(answers) == 2 and all(isinstance(answer, str) for answer in answers)
    (scores,) = model.score_tokens(["kalo"], [" mimi"])
    assert len(scores) == len(model.tokenizer.encode(" mimi")) + 1, "the end token last"
    assert model.score(["kalo"], [" mimi"]) == [pytest.approx(float(scores.sum()), rel=1e-5)]
    assert np.all(scores < 0)


@pytest.mark.parametrize(
    ("method", "flags", "moves"),
    [
        ("lora", ["--gin.LORA_TARGETS=('query', 'wi')"], "/lora/"),
        (
            "prompt_tuning",
            ["--gin.PROMPT_LENGTH=3", "--gin.TASK_FEATURE_LENGTHS={'targets': 29}"],
            "prompt/",
        ),
    ],
)
def test_each_method_moves_what_it_names_and_nothing_else(
    method, flags, moves, trained, vocabulary, tmp_path
):
    """Two steps from the trained checkpoint; all else keeps every bit."""
    files = [f"--gin_file={name}" for name in ("recipes/finetune.gin", f"finetuning/{method}.gin")]
    run = [*files, f"--gin.INITIAL_CHECKPOINT_PATH={trained[0]}", "--gin.RESTORE_OPTIMIZER=False"]
    train(tmp_path, vocabulary, 2, *run, "--gin.INFER_EVAL_DATASET=None", *flags)
    before, after = (named(parameters_of(each)) for each in (trained[0], tmp_path))
    changed = {n for n, leaf in after.items() if n not in before or np.any(leaf != before[n])}
    assert changed == {name for name in after if re.search(moves, name)}


def named(tree):
    """Leaves by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


@pytest.mark.slow
def test_batches_that_grow_go_on_where_they_stopped(vocabulary, tmp_path, capsys):
    """GPT-3's model and recipe: a run that stopped within its ramp ends bit for bit as one that did
    not; every step has the rows that were said at the start.
    """
    more = [
        "--gin_file=models/gpt3/tiny.gin",
        "--gin_file=recipes/gpt3_pretrain.gin",
        "--gin.WINDOW=8",
        "--gin.BATCH_SIZE=16",
        "--gin.BatchRampConfig.start=4",
        "--gin.BatchRampConfig.increment=4",
        "--gin.BatchRampConfig.rows=24",
        "--gin.LEARNING_RATE_FACTORS=constant * linear_warmup * cosine_decay",
        "--gin.WARMUP_STEPS=1",
        "--gin.DECAY_STEPS=20",
        "--gin.CHECKPOINT_PERIOD=3",
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    losses = train(whole, vocabulary, 6, *more)
    said = "batches grow: 4 rows, 8 from step 3, 12 from step 4, 16 from step 5; each"
    assert said in capsys.readouterr().out
    lines = (whole / "train" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["timing/seqs"] for line in lines] == [4, 4, 8, 12, 16, 16]
    train(parts, vocabulary, 3, *more)
    assert train(parts, vocabulary, 6, *more) == losses
    jax.tree.map(np.testing.assert_array_equal, parameters_of(parts), parameters_of(whole))
