"""A generator and a model beside it through the ordinary commands; the model is what is kept."""

import json
import pathlib

import jax
import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import description, huggingface, lookup, manager, pretrained
from t5x_lite.errors import UserError
from t5x_lite.model import transformer
from t5x_lite.model.replacement import apart
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

pytestmark = pytest.mark.usefixtures("two_devices")

PIECES = 80
FEATURES = ("inputs", "token_types", "targets", "target_weights")
JOINT = [
    "--gin_file=models/electra/small_joint.gin",
    "--gin_file=recipes/encoder_pretrain_replaced.gin",
    "--gin.GENERATOR_EMBED_DIM=16",
    "--gin.GENERATOR_MLP_DIM=32",
    "--gin.GENERATOR_NUM_HEADS=4",
]
ALONE = [
    "--gin_file=models/electra/small.gin",
    "--gin_file=recipes/encoder_pretrain.gin",
    "--gin.TrainConfig.loss=(@ReplacedTokensLossConfig(),)",
]
FLAGS = [
    "--module_import=toy_sentences",
    "--gin.MIXTURE_OR_TASK_NAME=toy_sentences",
    f"--gin.TASK_FEATURE_LENGTHS={dict.fromkeys(FEATURES, 24)}",
    f"--gin.VOCAB_SIZE={PIECES}",
    "--gin.MAX_LENGTH=24",
    "--gin.EMBED_DIM=32",
    "--gin.TOKEN_DIM=16",
    "--gin.MLP_DIM=64",
    "--gin.NUM_HEADS=4",
    "--gin.HEAD_DIM=8",
    "--gin.NUM_ENCODER_LAYERS=2",
    "--gin.NUM_PARTITIONS=2",
    "--gin.BATCH_SIZE=8",
    "--gin.LEARNING_RATE=0.003",
    "--gin.WARMUP_STEPS=2",
    "--gin.DECAY_STEPS=100",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_PERIOD=4",
    "--gin.EVAL_STEPS=2",
    "--gin.CHECKPOINT_PERIOD=4",
    "--gin.LOG_PERIOD=1",
    *(f"--gin.SpecialTokens.{name}={at}" for at, name in enumerate(("padding", "unknown"))),
    "--gin.SpecialTokens.start=2",
    "--gin.SpecialTokens.end=3",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    """--module_import finds toy_sentences from the working directory, as users' modules are."""
    monkeypatch.chdir(pathlib.Path(__file__).parent)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A folder with word pieces of the task's text."""
    folder = tmp_path_factory.mktemp("vocabulary") / "wordpiece"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        words = ["vocab", "--kind=wordpiece", "--task=toy_texts", "--module_import=toy_texts"]
        assert cli.main([*words, f"--size={PIECES}", f"--output={folder}"]) == 0
    return folder


def train(model_dir, vocabulary, steps, *more, job=JOINT):
    words = [*job, *FLAGS, f"--gin.VOCABULARY={vocabulary}", f"--gin.MODEL_DIR={model_dir}"]
    return cli.main(["train", *words, f"--gin.TRAIN_STEPS={steps}", *more])


def metrics(model_dir, folder="train"):
    lines = (model_dir / folder / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line for line in map(json.loads, lines)}


def losses(model_dir):
    return {step: line["loss"] for step, line in metrics(model_dir).items()}


@pytest.fixture(scope="module")
def trained(vocabulary, tmp_path_factory):
    """A model directory of eight steps in one go."""
    model_dir = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        assert train(model_dir, vocabulary, 8) == 0
    return model_dir


def stored(model_dir):
    """The parameters of both, and the joint model."""
    checkpoint = lookup.find(model_dir)
    model = description.model_of(checkpoint)
    partitioner = make_partitioner(PartitioningConfig())
    return jax.device_get(pretrained.load_parameters(checkpoint, model, partitioner)[0]), model


@pytest.mark.slow
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(trained, vocabulary, tmp_path):
    """INV-10, with what is drawn and dropout: a step's draws are a function of its number."""
    assert train(tmp_path, vocabulary, 4) == 0 == train(tmp_path, vocabulary, 8)
    assert losses(tmp_path) == losses(trained)
    assert len(set(losses(trained).values())) == 8
    jax.tree.map(np.testing.assert_array_equal, stored(tmp_path)[0], stored(trained)[0])


@pytest.mark.slow
def test_parts_of_a_batch_add_up(vocabulary, tmp_path):
    """Microbatches, where what is drawn is the likeliest token whatever the noise is."""
    cold = ["--gin.TEMPERATURE=1e-6", "--gin.DROPOUT_RATE=0.0", "--gin.EVAL_STEPS=0"]
    for parts in (1, 2):
        run = [*cold, f"--gin.NUM_MICROBATCHES={parts}"]
        assert train(tmp_path / str(parts), vocabulary, 2, *run) == 0
    whole, parts = (losses(tmp_path / name) for name in "12")
    assert parts == pytest.approx(whole, rel=1e-4)


def test_an_evaluation_tells_how_well_replaced_tokens_are_found(trained):
    """The area under the curve and the accuracy of held-out text."""
    found = metrics(trained, "training_eval/toy_sentences")
    assert set(found) == {4, 8}
    for line in found.values():
        assert 0.0 < line["ReplacedTokensLossConfig/auroc"] < 1.0
        assert 0.0 < line["ReplacedTokensLossConfig/accuracy"] <= 1.0
        assert line["cross_ent_loss"] > 0.0
    assert "ReplacedTokensLossConfig/auroc" not in metrics(trained)[8]


def test_the_model_is_kept_and_its_generator_is_not(trained, tmp_path):
    """Loaded, encoded and exported it is the model alone."""
    model = t5x_lite.load(trained, num_partitions=2)
    vectors = model.encode(["kalo mimi."], pooling="first")
    assert vectors.shape == (1, 32)
    parameters, joint = stored(trained)
    kept, _ = apart(parameters)
    words = ["export", str(trained), "--format=huggingface"]
    assert cli.main([*words, f"--output={tmp_path / 'hf'}"]) == 0
    config, read = huggingface.load(tmp_path / "hf")
    assert config.stacks == joint.stacks and config.heads == joint.heads
    jax.tree.map(np.testing.assert_array_equal, read, kept)


@pytest.mark.slow
def test_what_was_kept_is_trained_further(trained, vocabulary, tmp_path, capsys):
    """From the joint checkpoint; with its slots and step, and its parameters only. In its own
    directory a run cannot lose its generator, nor take one from where there is none.
    """
    before, _ = apart(stored(trained)[0])
    start = [f"--gin.INITIAL_CHECKPOINT_PATH={trained}", "--gin.LEARNING_RATE=0.0"]
    for name, steps, more in (("whole", 9, []), ("own", 1, ["--gin.RESTORE_OPTIMIZER=False"])):
        run = [*start, *more, "--gin.AdamWConfig.weight_decay=0.0"]
        assert train(tmp_path / name, vocabulary, steps, *run, job=ALONE) == 0
        found, model = stored(tmp_path / name)
        assert model.generator is None
        jax.tree.map(np.testing.assert_array_equal, found, before)
    for initial, job in ((tmp_path / "own", JOINT), (None, ALONE)):
        folder = trained if initial is None else tmp_path / "joint"
        more = [] if initial is None else [f"--gin.INITIAL_CHECKPOINT_PATH={initial}"]
        assert train(folder, vocabulary, 9, *more, job=job) != 0
        assert "the model of this job is not the one in" in capsys.readouterr().err


def test_the_kept_model_is_described_by_its_path(trained):
    """Whoever does not ask for the generator gets a model that needs none."""
    found = pretrained.describe(trained)
    joint = description.model_of(found.path)
    assert found.model == joint.kept != joint
    assert transformer.num_parameters(found.model) < transformer.num_parameters(joint)
    assert pretrained.describe(trained, joint).model == joint
    with pytest.raises(UserError, match="generator"):
        pretrained.check_own(found.path, joint.kept)
    partitioner = make_partitioner(PartitioningConfig())
    read = pretrained.load_parameters(trained, None, partitioner)[0]
    assert "generator" not in read and manager.find(trained) == found.path
