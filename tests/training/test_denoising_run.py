"""A denoiser through the ordinary commands: from an encoder that found masked tokens to texts."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import lookup, pretrained
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import strategy_of
from t5x_lite.errors import UserError
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

pytestmark = pytest.mark.usefixtures("two_devices")

PIECES = 48
SIZES = [
    f"--gin.VOCAB_SIZE={PIECES}",
    "--gin.EMBED_DIM=32",
    "--gin.MLP_DIM=64",
    "--gin.NUM_HEADS=4",
    "--gin.HEAD_DIM=8",
    "--gin.NUM_ENCODER_LAYERS=2",
    "--gin.MAX_LENGTH=24",
    "--gin.InitConfig.stddev=0.1",
    "--gin.DROPOUT_RATE=0.0",
]
SPECIAL = [
    f"--gin.SpecialTokens.{name}={at}"
    for at, name in enumerate(("padding", "unknown", "start", "end", "mask"))
]
COMMON = [
    "--module_import=toy_pairs",
    "--gin_file=models/bert.gin",
    "--gin.BATCH_SIZE=16",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_STEPS=2",
    *SIZES,
    *SPECIAL,
]
FEATURES = ("inputs", "token_types", "targets", "target_weights")
ENCODER = [
    "--gin_file=recipes/encoder_pretrain.gin",
    "--gin.HEADS=(@masked/HeadConfig(),)",
    "--gin.POOLER=False",
    "--gin.MIXTURE_OR_TASK_NAME=toy_pairs_masked",
    f"--gin.TASK_FEATURE_LENGTHS={dict.fromkeys(FEATURES, 24)}",
    "--gin.DECAY_STEPS=300",
    "--gin.WARMUP_STEPS=30",
    "--gin.LEARNING_RATE=0.003",
]
DENOISER = [
    "--gin_file=models/encoder_denoiser.gin",
    "--gin_file=recipes/sundae.gin",
    "--gin_file=recipes/from_encoder.gin",
    "--gin.MIXTURE_OR_TASK_NAME=toy_pairs",
    f"--gin.TASK_FEATURE_LENGTHS={dict.fromkeys(('inputs', 'targets'), 12)}",
    "--gin.MAX_TARGET_LENGTH=16",
    "--gin.MAX_DECODE_LENGTH=12",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    """--module_import finds toy_pairs from the working directory, as users' modules are."""
    monkeypatch.chdir(pathlib.Path(__file__).parent)


def train(model_dir, vocabulary, job, steps, *more):
    words = [*COMMON, *job, f"--gin.VOCABULARY={vocabulary}", f"--gin.MODEL_DIR={model_dir}"]
    periods = [f"--gin.{name}_PERIOD={steps}" for name in ("EVAL", "CHECKPOINT")]
    return cli.main(["train", *words, *periods, f"--gin.TRAIN_STEPS={steps}", *more])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A vocabulary, an encoder, and a denoiser that begins as it and learns the task."""
    folder = tmp_path_factory.mktemp("denoising")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        words = ["vocab", "--kind=wordpiece", "--task=toy_pairs_masked", f"--size={PIECES}"]
        output = f"--output={folder / 'wordpiece'}"
        assert cli.main([*words, "--module_import=toy_pairs", output]) == 0
        assert train(folder / "encoder", folder / "wordpiece", ENCODER, 300) == 0
        begun = f"--gin.INITIAL_CHECKPOINT_PATH={folder / 'encoder'}"
        assert train(folder / "denoiser", folder / "wordpiece", DENOISER, 400, begun) == 0
    return folder


def parameters_of(path):
    found = pretrained.describe(path)
    partitioner = make_partitioner(PartitioningConfig())
    read = pretrained.load_parameters(lookup.find(path), found.model, partitioner)[0]
    return jax.device_get(read)


@pytest.mark.slow
def test_encoder_and_decoder_begin_as_one_encoder(runs, tmp_path):
    """Two steps at a rate of next to nothing: every leaf is one of the encoder's, attention to the
    encoder a copy or new, and the head of the length is new.
    """
    begun = f"--gin.INITIAL_CHECKPOINT_PATH={runs / 'encoder'}"
    still = [begun, "--gin.LEARNING_RATE=1e-12", "--gin.INFER_EVAL_DATASET=None"]
    still += ["--gin.EVAL_STEPS=0"]
    encoder = parameters_of(runs / "encoder")
    for cross in ("copied", "new"):
        more = [*still, *(["--gin.CROSS_ATTENTION=None"] if cross == "new" else [])]
        assert train(tmp_path / cross, runs / "wordpiece", DENOISER, 2, *more) == 0
        found = parameters_of(tmp_path / cross)
        equal = {}
        own, layers = encoder["encoder"], found["decoder"]["layers"]
        equal["encoder"] = (found["encoder"], own)
        equal["self"] = (layers["self_attention"], own["layers"]["attention"])
        equal["mlp"] = (layers["mlp"], own["layers"]["mlp"])
        norm = own["layers"]["post_attention_layer_norm"]
        for name in ("self", "cross"):
            equal[f"{name} norm"] = (layers[f"post_{name}_attention_layer_norm"], norm)
        for name in ("position_embedder", "type_embedder", "input_norm"):
            equal[name] = (found["decoder"][name], own[name])
        for name in ("transform", "norm", "bias"):
            equal[name] = (found["decoder"][name], encoder["heads"]["tokens"][name])
        equal["tokens"] = (found["token_embedder"], encoder["token_embedder"])
        crossed = (layers["encoder_decoder_attention"], own["layers"]["attention"])
        if cross == "copied":
            equal["cross"] = crossed
        else:
            kernels = [each["query"]["kernel"] for each in crossed]
            assert np.abs(kernels[0] - kernels[1]).max() > 0.01
        for name, (one, other) in equal.items():
            jax.tree.map(
                lambda a, b, name=name: np.testing.assert_allclose(a, b, atol=1e-6, err_msg=name),
                one,
                other,
            )
        assert set(found["heads"]) == {"length"}


@pytest.fixture(scope="module")
def model(runs):
    return t5x_lite.load(runs / "denoiser")


@pytest.mark.slow
def test_a_run_scores_what_it_decodes(runs):
    """Both terms are reported, and answers of the validation split."""
    lines = (runs / "denoiser" / "training_eval" / "toy_pairs" / "metrics.jsonl").read_text()
    line = json.loads(lines.splitlines()[-1])
    assert line["loss_per_token"] < 1.0 and line["accuracy"] > 0.6
    assert line["LengthLossConfig/accuracy"] > 0.3
    scores = (runs / "denoiser" / "inference_eval" / "toy_pairs" / "metrics.jsonl").read_text()
    assert "eval/same" in json.loads(scores.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4, 10])
def test_a_target_that_is_right_stays(model, runs, steps):
    """Law: what a trained model restores is a fixed point. From what 10 steps write, one step of
    the likeliest tokens changes nothing.
    """
    from t5x_lite.model import transformer

    config, parameters = model.engine.models.members[0], model.engine.parameters[0]
    inputs, target = "ka lo mi tu", "ba no ri ku"
    ids = [*model.tokenizer.encode(target), config.special.end]
    read = np.asarray([[*model.tokenizer.encode(inputs), config.special.end]], np.int32)
    batch = {
        "encoder_input_tokens": read,
        "encoder_segment_ids": np.ones_like(read),
        "decoder_input_tokens": np.asarray([ids], np.int32),
        "decoder_segment_ids": np.ones((1, len(ids)), np.int32),
    }
    logits = transformer.logits(config, parameters, jax.tree.map(jnp.asarray, batch))
    assert np.argmax(logits[0], axis=-1).tolist() == ids
    decoding = DecodingConfig(strategy=strategy_of("sundae", num_steps=steps))
    decoding = dataclasses.replace(decoding, max_decode_length=12)
    found = model.outputs([inputs], decoding, lengths=[len(ids)])
    assert len(found[0][0].ids) <= len(ids)


@pytest.mark.slow
def test_texts_are_written_by_every_command(model, runs, tmp_path, capsys):
    """load().generate, infer and eval give the same."""
    inputs = ["ka lo mi tu", "dax vel sor", "ren ren ka lo mi"]
    texts = model.generate(inputs, strategy="sundae", max_decode_length=12)
    several = model.generate(inputs, strategy="sundae", max_decode_length=12, num_decodes=3)
    assert [each[0] for each in several] == texts and all(len(each) == 3 for each in several)
    (tmp_path / "in.txt").write_text("\n".join(inputs) + "\n")
    words = ["infer", "--gin_file=recipes/infer_file.gin", "--gin_file=decoding/sundae.gin"]
    words += [f"--gin.CHECKPOINT_PATH={runs / 'denoiser'}", f"--gin.INPUT_FILE={tmp_path}/in.txt"]
    words += [f"--gin.INFER_OUTPUT_DIR={tmp_path / 'out'}", "--gin.MAX_DECODE_LENGTH=12"]
    assert cli.main([*words, "--gin.COMPILATION_CACHE=False"]) == 0
    (file,) = (tmp_path / "out").glob("*.jsonl-00000-of-00001")
    found = [json.loads(line)["prediction"] for line in file.read_text().splitlines()]
    assert found == texts
    words = ["eval", "--gin_file=recipes/eval.gin", "--gin_file=decoding/sundae.gin"]
    words += [f"--gin.CHECKPOINT_PATH={runs / 'denoiser'}", "--gin.SPLIT=validation"]
    words += ["--module_import=toy_pairs", "--gin.MIXTURE_OR_TASK_NAME=toy_pairs"]
    words += [f"--gin.EVAL_OUTPUT_DIR={tmp_path / 'eval'}", "--gin.MAX_DECODE_LENGTH=12"]
    assert cli.main([*words, "--gin.COMPILATION_CACHE=False"]) == 0
    assert list((tmp_path / "eval").rglob("metrics.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "greedy"}, "does not write token after token"),
        ({"strategy": "sundae", "num_steps": 0}, "num_steps=0: needed is at least 1"),
        ({"strategy": "sundae", "share": 0.0}, "share=0.0"),
        ({"strategy": "sundae", "num_decodes": 4}, "'sundae' gives at most 3"),
        ({"strategy": "sundae", "prefixes": ["ba"]}, "keeps no token"),
        ({"strategy": "sundae", "min_decode_length": 3}, "whole targets at once"),
        ({"strategy": "sundae", "max_decode_length": 25}, "learned 24 positions"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(model, settings, message):
    """One error each."""
    with pytest.raises(UserError, match=message):
        model.generate(["ka lo"], **{"max_decode_length": 12, **settings})


@pytest.mark.slow
def test_a_denoiser_scores_no_target(model):
    """It knows how likely a token is where all others are given."""
    with pytest.raises(UserError, match="no likelihood"):
        model.score(["ka lo"], ["ba no"])


@pytest.mark.parametrize(
    ("files", "flags", "message"),
    [
        (["models/encoder_denoiser.gin", "recipes/supervised.gin"], [], "sees all of its target"),
        (
            ["models/encoder_denoiser.gin", "recipes/sundae.gin"],
            ["MAX_TARGET_LENGTH=8"],
            "up to 12",
        ),
        (
            ["models/encoder_denoiser.gin", "recipes/sundae.gin"],
            ["HEADS=(@masked/HeadConfig(),)"],
            "no head of the length",
        ),
        (["recipes/sundae.gin"], ["HEADS=(@masked/HeadConfig(),)"], "sees not all"),
    ],
    ids=["loss", "length", "head", "encoder"],
)
def test_jobs_that_do_not_fit_are_refused(files, flags, message, tmp_path, capsys):
    """Before anything is read."""
    words = [*COMMON, *(f"--gin_file={file}" for file in files), *DENOISER[3:5]]
    words += [f"--gin.MODEL_DIR={tmp_path}", "--gin.TRAIN_STEPS=2", "--gin.VOCABULARY=bytes"]
    words += [f"--gin.{flag}" for flag in flags]
    words += ["--gin.POOLER=False"] if len(files) == 1 else []
    assert cli.main(["train", *words]) == 2
    assert message in capsys.readouterr().err
