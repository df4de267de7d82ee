"""What a set of gin files means: who overrides whom decides, never the order of lines."""

import pathlib
import random
import subprocess
import sys

import pytest

from t5x_lite import config
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig, GreedyConfig, SampleConfig
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import InferConfig
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import ModelConfig, Visibility
from t5x_lite.partitioning.config import STANDARD_LOGICAL_AXIS_RULES, PartitioningConfig
from t5x_lite.training.config import TrainConfig

GIN = pathlib.Path(config.packaged_root())
MODELS = sorted(str(path.relative_to(GIN)) for path in GIN.glob("models/*/*.gin"))
DENOISER = "models/architectures/denoiser.gin"  # no other recipe trains it
ARCHITECTURES = [n for n in MODELS if "/architectures/" in n and n != DENOISER]
SIZES = [name for name in MODELS if "/architectures/" not in name]

TASK = ["MIXTURE_OR_TASK_NAME=my_task", "TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 32}"]
TRAIN = [*TASK, "MODEL_DIR=/runs/one", "TRAIN_STEPS=10"]
CHECKPOINT = "CHECKPOINT_PATH=gs://bucket/checkpoint_10"
JOBS = {
    "pretrain": (TrainConfig, ["recipes/pretrain.gin"], TRAIN),
    "finetune": (
        TrainConfig,
        ["recipes/finetune.gin"],
        [*TRAIN, "INITIAL_CHECKPOINT_PATH=/runs/zero"],
    ),
    "supervised": (TrainConfig, ["recipes/supervised.gin"], TRAIN),
    "sundae": (TrainConfig, [DENOISER, "recipes/sundae.gin"], TRAIN),
    "adamw": (TrainConfig, ["recipes/pretrain.gin", "recipes/adamw.gin"], TRAIN),
    "lamb": (TrainConfig, ["recipes/pretrain.gin", "recipes/lamb.gin"], TRAIN),
    "lion": (TrainConfig, ["recipes/pretrain.gin", "recipes/lion.gin"], TRAIN),
    "sharded": (TrainConfig, ["recipes/pretrain.gin", "meshes/fully_sharded.gin"], TRAIN),
    "multislice": (
        TrainConfig,
        ["recipes/pretrain.gin", "meshes/multislice.gin"],
        [*TRAIN, "NUM_SLICES=2"],
    ),
    "eval": (
        EvalConfig,
        ["recipes/eval.gin"],
        [*TASK, CHECKPOINT, "SPLIT=test", "EVAL_OUTPUT_DIR=/out"],
    ),
    "eval_hidden_states": (
        EvalConfig,
        ["recipes/eval.gin", "evaluation/hidden_states.gin"],
        [*TASK, CHECKPOINT, "SPLIT=test", "EVAL_OUTPUT_DIR=/out", "STATE_STEP_SIZE=0.01"],
    ),
    "infer": (
        InferConfig,
        ["recipes/infer.gin", "decoding/beam4.gin"],
        [*TASK, CHECKPOINT, "INFER_OUTPUT_DIR=/out"],
    ),
    "infer_file": (
        InferConfig,
        ["decoding/sample.gin", "recipes/infer_file.gin"],
        [CHECKPOINT, "INPUT_FILE=in.txt", "INFER_OUTPUT_DIR=/out"],
    ),
}


def resolve_job(job, models=("models/t5_1_1/tiny.gin",), flags=()):
    root, recipes, needed = JOBS[job]
    overrides = [(f"--gin.{flag}", flag) for flag in (*needed, *flags)]
    return config.resolve(root, [*models, *recipes], overrides=overrides, search_paths=[])


@pytest.mark.parametrize("written", ["  loss = (@LossConfig(),)\n", ""], ids=["tuple", "unbound"])
def test_a_loss_of_one_term_may_be_written_as_it_always_was(written, tmp_path):
    """The recipe's `loss = @LossConfig()`, a tuple of it, and nothing said are the same job, also
    once they are written as operative text.
    """
    recipe = (GIN / "recipes/train.gin").read_text()
    changed = recipe.replace("  loss = @LossConfig()\n", written)
    assert changed != recipe
    (tmp_path / "train.gin").write_text(changed)
    overrides = [(f"--gin.{flag}", flag) for flag in TRAIN]
    found, expected = (
        config.resolve(TrainConfig, ["models/t5_1_1/tiny.gin", file], overrides=overrides)
        for file in (str(tmp_path / "train.gin"), "recipes/train.gin")
    )
    assert found.config == expected.config
    assert len(found.config.loss) == 1
    (tmp_path / "operative.gin").write_text(found.operative_config)
    again = config.resolve(TrainConfig, [str(tmp_path / "operative.gin")])
    assert again.config == found.config


def test_a_field_that_was_renamed_is_read_by_both_names(resolve, tiny_model):
    """Of several kinds of positions the one that there always was needs no word."""
    named = tiny_model + "{} = @RelativeBiasConfig()\nRelativeBiasConfig.num_buckets = 8"
    old, new = (resolve(named.format(f"StackConfig.{n}")) for n in ("relative_bias", "positions"))
    silent = resolve(tiny_model + "RelativeBiasConfig.num_buckets = 8")
    assert old.config == new.config == silent.config
    assert old.config.decoder.positions.num_buckets == 8


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("DecodingConfig.strategy = 'greedy'", GreedyConfig()),
        ("DecodingConfig.strategy = 'sample'", SampleConfig(temperature=0.5, seed=3)),
        ("DecodingConfig.strategy = 'beam'", BeamConfig(beam_size=7)),
        ("DecodingConfig.strategy = @BeamConfig()", BeamConfig(beam_size=7)),
    ],
)
def test_settings_of_a_strategy_once_stood_beside_its_name(resolve, named, expected):
    """A run wrote all of them, whichever it chose, and goes on by what it wrote."""
    settings = {"temperature": 0.5, "seed": 3, "beam_size": 7, "num_decodes": 1}
    lines = [f"DecodingConfig.{name} = {value}" for name, value in settings.items()]
    text = "\n".join([named, *(lines[2:] if "@" in named else lines)])
    assert resolve(text, root=DecodingConfig).config == DecodingConfig(strategy=expected)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_lines_does_not_matter(resolve, tiny_model, seed):
    """gin itself executes a file from top to bottom."""
    lines = tiny_model.split("\n")
    random.Random(seed).shuffle(lines)
    shuffled = resolve("\n".join(lines))
    in_order = resolve(tiny_model)
    assert shuffled.config == in_order.config
    assert shuffled.operative_config == in_order.operative_config


def test_an_include_may_stand_anywhere(in_folder):
    """A file's own statements override what it includes, above or below the include."""
    in_folder(
        base="ComputeConfig.scan_unroll = 1",
        above='include "base.gin"\nComputeConfig.scan_unroll = 2',
        below='ComputeConfig.scan_unroll = 2\ninclude "base.gin"',
    )
    unrolls = [resolve_unroll([name]) for name in ("above.gin", "below.gin")]
    assert unrolls == [2, 2]


def resolve_unroll(files, overrides=()):
    return config.resolve(ComputeConfig, files, overrides=overrides).config.scan_unroll


def test_the_later_of_two_files_wins(in_folder):
    in_folder(two="ComputeConfig.scan_unroll = 2", three="ComputeConfig.scan_unroll = 3")
    assert resolve_unroll(["two.gin", "three.gin"]) == 3
    assert resolve_unroll(["three.gin", "two.gin"]) == 2


def test_the_later_of_two_included_files_wins(in_folder):
    in_folder(
        two="ComputeConfig.scan_unroll = 2",
        three="ComputeConfig.scan_unroll = 3",
        both='include "two.gin"\ninclude "three.gin"',
    )
    assert resolve_unroll(["both.gin"]) == 3


def test_a_base_that_several_files_include_cannot_undo_what_one_of_them_changed(in_folder):
    """small.gin and lm.gin both include the encoder-decoder; the second include changes nothing."""
    in_folder(
        base="ComputeConfig.scan_unroll = 1",
        first='include "base.gin"\nComputeConfig.scan_unroll = 2',
        second='include "base.gin"\nComputeConfig.remat = "full"',
    )
    assert resolve_unroll(["first.gin", "second.gin"]) == 2


def test_a_flag_wins_over_all_files_and_the_later_flag_over_the_earlier(in_folder):
    in_folder(two="ComputeConfig.scan_unroll = 2")
    flags = [("--gin.x", f"ComputeConfig.scan_unroll={count}") for count in (4, 5)]
    assert resolve_unroll(["two.gin"], flags) == 5


def test_includes_that_go_in_circles_are_read_once(in_folder):
    in_folder(
        a='include "b.gin"\nComputeConfig.scan_unroll = 2',
        b='include "a.gin"\nComputeConfig.remat = "full"',
    )
    assert resolve_unroll(["a.gin"]) == 2


def test_files_are_found_beside_the_including_file_and_in_search_paths(in_folder):
    folder = in_folder(near='include "part.gin"')
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "whole.gin").write_text('include "part.gin"')
    (folder / "elsewhere" / "part.gin").write_text("ComputeConfig.scan_unroll = 7")
    beside = config.resolve(ComputeConfig, ["elsewhere/whole.gin"])
    searched = config.resolve(ComputeConfig, ["near.gin"], search_paths=[".", "elsewhere"])
    assert beside.config.scan_unroll == searched.config.scan_unroll == 7


def test_a_users_file_replaces_a_packaged_one_of_the_same_name(in_folder):
    """The search path comes first, as in T5X, so that any recipe can be changed by a copy."""
    folder = in_folder()
    (folder / "meshes").mkdir()
    (folder / "meshes" / "standard.gin").write_text("PartitioningConfig.num_partitions = 4")
    resolved = config.resolve(PartitioningConfig, ["meshes/standard.gin"])
    assert resolved.config.num_partitions == 4


def test_the_most_specific_scope_wins_and_holds_in_what_is_built_inside(resolve, tiny_model):
    """As in gin: `a/b` sees bindings of a/b, then a, then none; `b` alone is another scope."""
    text = tiny_model.replace("@decoder/StackConfig()", "@a/b/StackConfig()")
    scoped = "\n".join(
        [
            "a/AttentionConfig.head_dim = 3",
            "a/b/AttentionConfig.num_heads = 5",
            "a/AttentionConfig.num_heads = 4",
        ]
    )
    attention = resolve(text, scoped).config.decoder.block.attention
    assert (attention.num_heads, attention.head_dim) == (5, 3)


def test_a_reference_without_scope_stays_in_the_active_one(resolve, tiny_model):
    text = f"{tiny_model}\nStackConfig.block = @BlockConfig()\ndecoder/MLPConfig.mlp_dim = 99"
    assert resolve(text).config.decoder.block.mlp.mlp_dim == 99


def test_a_reference_with_a_scope_replaces_the_active_one(resolve, tiny_model):
    text = "\n".join(
        [
            tiny_model,
            "decoder/StackConfig.block = @inner/BlockConfig()",
            "decoder/MLPConfig.mlp_dim = 99",
            "inner/MLPConfig.mlp_dim = 77",
        ]
    )
    with pytest.raises(config.ConfigError, match="decoder/MLPConfig.mlp_dim has no effect"):
        resolve(text)
    without = text.replace("decoder/MLPConfig.mlp_dim = 99", "")
    assert resolve(without).config.decoder.block.mlp.mlp_dim == 77


def test_macros_hold_anywhere_in_a_value_and_through_each_other(resolve, tiny_model):
    text = (
        f"{tiny_model}\nMLPConfig.activations = (%FIRST, %SECOND)\nFIRST = %SECOND\nSECOND = 'relu'"
    )
    assert resolve(text).config.decoder.block.mlp.activations == ("relu", "relu")


def test_the_old_form_of_a_macro_is_the_same_macro(resolve, tiny_model):
    """T5X's own files and logs write MODEL_DIR/macro.value = ..."""
    assert resolve(tiny_model, "EMBED_DIM/macro.value = 24").config.embed_dim == 24


def test_a_block_is_its_lines(resolve, tiny_model):
    block = 'decoder/StackConfig:\n  visibility = "prefix"\n  num_layers = 3\n'
    stack = resolve(tiny_model, block).config.decoder
    assert (stack.visibility, stack.num_layers) == (Visibility.PREFIX, 3)


@pytest.mark.parametrize("prefix", ["", "config.", "model.config.", "t5x_lite.model.config."])
def test_a_class_may_be_named_with_the_end_of_its_module(resolve, tiny_model, prefix):
    assert resolve(tiny_model, f"{prefix}ModelConfig.vocab_size = 256").config.vocab_size == 256


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("MODEL_DIR=/x/y", "/x/y"),
        ('MODEL_DIR="/x/y"', "/x/y"),
        ("MODEL_DIR='/x/y'", "/x/y"),
        ("MODEL_DIR=gs://bucket/a-b_c.d", "gs://bucket/a-b_c.d"),
        ("MODEL_DIR=relative", "relative"),
        ("MODEL_DIR=a=b", "a=b"),
        ("MODEL_DIR=it's", "it's"),
    ],
)
def test_a_string_needs_no_quotes_on_the_command_line(flag, expected):
    """A shell eats them; T5X makes its users write \\\"...\\\"."""
    assert resolve_job("pretrain", flags=[flag]).config.model_dir == expected


def test_other_values_on_the_command_line_are_gin_values():
    flags = ["RESTORE=None", "RestoreCheckpointConfig.path=%RESTORE", "LEARNING_RATE=1e-3"]
    resolved = resolve_job("pretrain", flags=flags).config
    assert resolved.restore.path is None
    assert resolved.learning_rate.base_learning_rate == 0.001
    assert resolved.dataset.task_feature_lengths == {"inputs": 64, "targets": 32}


@pytest.mark.parametrize(
    ("job", "architecture"),
    [*((job, ARCHITECTURES[0]) for job in JOBS), *(("pretrain", each) for each in ARCHITECTURES)],
)
def test_the_operative_config_alone_gives_the_same_config(job, architecture, in_folder):
    """It is written beside a checkpoint, so it has to be complete, also when defaults change."""
    first = resolve_job(job, ["models/t5_1_1/tiny.gin", architecture])
    in_folder(operative=first.operative_config)
    again = config.resolve(JOBS[job][0], ["operative.gin"])
    assert again.config == first.config
    assert again.operative_config == first.operative_config


def test_the_operative_config_keeps_imports_and_long_values(in_folder):
    imports = [config.named_by_flag("json", "--module_import")]
    root, recipes, flags = JOBS["pretrain"]
    in_folder(own="from os import path\nimport string")
    first = config.resolve(
        root,
        ["models/t5_1_1/tiny.gin", *recipes, "own.gin"],
        overrides=[("--gin", flag) for flag in flags],
        imports=imports,
    )
    assert "from os import path\nimport json\nimport string\n" in first.operative_config
    in_folder(operative=first.operative_config)
    again = config.resolve(root, ["operative.gin"])
    assert {each.module for each in again.imports} == {"json", "os", "string"}


def test_a_mesh_that_was_written_before_the_table_stood_in_one_place_means_the_same(in_folder):
    """Operative configs of checkpoints hold the whole table."""
    rows = [row for row in STANDARD_LOGICAL_AXIS_RULES if row[0] != "positions"]
    in_folder(
        old=f"NUM_PARTITIONS = 2\nPartitioningConfig.num_partitions = %NUM_PARTITIONS\n"
        f"PartitioningConfig.logical_axis_rules = {tuple(rows)}"
    )
    found = config.resolve(PartitioningConfig, ["old.gin"]).config
    assert found.num_partitions == 2
    assert found.parameter_rules == found.activation_rules == tuple(rows)


@pytest.mark.parametrize("size", SIZES)
def test_every_packaged_size_makes_a_training_job(size):
    assert isinstance(resolve_job("pretrain", [size]).config.model, ModelConfig)


def test_lm_drops_what_the_size_says_of_the_encoder_without_complaint():
    """A definition that another file made unreachable is no mistake."""
    models = ["models/t5_1_1/tiny.gin", "models/architectures/lm.gin"]
    assert resolve_job("pretrain", models).config.model.encoder is None


@pytest.mark.parametrize("job", ["eval", "infer", "infer_file"])
def test_the_model_of_an_evaluation_is_the_checkpoints_unless_a_file_gives_one(job, in_folder):
    """Nothing says None: that no statement binds a model is enough, also when read again."""
    without = resolve_job(job, models=())
    assert without.config.model is None
    folder = in_folder(again=without.operative_config)
    again = config.resolve(type(without.config), ["again.gin"], search_paths=[str(folder)])
    assert again.config == without.config
    assert resolve_job(job).config.model == resolve_job("pretrain").config.model


def test_a_flag_for_a_model_that_no_file_gives_has_no_effect_and_says_so():
    """DROPOUT_RATE is a macro of model files."""
    with pytest.raises(config.ConfigError, match="no statement uses %DROPOUT_RATE"):
        resolve_job("eval", models=(), flags=["DROPOUT_RATE=0.5"])


def test_scopes_of_t5x_habit_reach_one_of_the_two_datasets():
    flags = ["train/DatasetConfig.batch_size=64", "train_eval/DatasetConfig.split=test"]
    resolved = resolve_job("pretrain", flags=flags).config
    assert (resolved.dataset.batch_size, resolved.eval_dataset.batch_size) == (64, 128)
    assert (resolved.dataset.split, resolved.eval_dataset.split) == ("train", "test")


def test_recipes_give_what_t5_was_trained_with():
    pretrain = resolve_job("pretrain").config
    finetune = resolve_job("finetune").config
    assert pretrain.learning_rate.factors == "constant * rsqrt_decay"
    assert pretrain.learning_rate.base_learning_rate == 1.0
    assert pretrain.learning_rate.warmup_steps == 10_000
    assert pretrain.checkpoints.period == 1000
    assert finetune.learning_rate.factors == "constant"
    assert finetune.learning_rate.base_learning_rate == 0.001
    assert finetune.checkpoints.period == 5000
    assert finetune.model.dropout_rate == 0.1


def test_fully_sharded_splits_embed_over_data():
    sharded = resolve_job("sharded").config.partitioning
    standard = dict(resolve_job("pretrain").config.partitioning.logical_axis_rules)
    assert dict(sharded.parameter_rules) == {**standard, "embed": "data"}
    assert dict(sharded.activation_rules) == standard


def test_a_config_is_resolved_without_jax_or_tensorflow(tmp_path):
    """Importing them takes seconds; a typing mistake should not."""
    program = """
import sys
from t5x_lite import cli
flags = ["MODEL_DIR=/x", "TRAIN_STEPS=1", "MIXTURE_OR_TASK_NAME=a", "TASK_FEATURE_LENGTHS={}"]
files = ["models/t5_1_1/tiny.gin", "recipes/pretrain.gin"]
words = [f"--gin_file={name}" for name in files] + [f"--gin.{flag}" for flag in flags]
assert cli.main(["train", "--dry_run", *words]) == 0
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"jax", "jaxlib", "flax", "tensorflow", "seqio"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
