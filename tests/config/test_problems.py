"""Every mistake is one readable line with its place and the way out, and all come at once."""

import pytest

from t5x_lite import config
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.training.config import TrainConfig


def test_all_problems_come_at_once(problems, tiny_model):
    """T5X reports one missing macro a launch."""
    text = tiny_model.replace("EMBED_DIM = 16", "EMBED_DIMM = 16")
    found = problems(
        f"{text}\nModelConfig.vocabsize = 3\nMLPConfig.activations = 1", flags=["FOO=1"]
    )
    assert found == [
        "file_0.gin:12: ModelConfig has no parameter vocabsize; did you mean vocab_size?",
        "file_0.gin:13: MLPConfig.activations needs a tuple of (str); given 1",
        "EMBED_DIM has no value: --gin.EMBED_DIM=... (for ModelConfig.embed_dim, file_0.gin:3); "
        "did you mean EMBED_DIMM?",
        "file_0.gin:5: no statement uses %EMBED_DIMM; did you mean EMBED_DIM?",
        "--gin.FOO on the command line: no statement uses %FOO",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ModelConfg.vocab_size = 1", "nothing configurable is called ModelConfg; did you mean "),
        ("other.ModelConfig.vocab_size = 1", "nothing configurable is called other.ModelConfig"),
        ("ModelConfig.dropout = 0.1", "has no parameter dropout; did you mean dropout_rate?"),
        ("decodr/StackConfig.num_layers = 1", "did you mean decoder?"),
        ("encoder/StackConfig.num_layers = 1", "nothing here builds @encoder/StackConfig()"),
        ("decoder/inner/MLPConfig.mlp_dim = 1", "nothing here builds @decoder/inner/MLPConfig()"),
        ("AdamWConfig.beta_1 = 0.5", "nothing here builds @AdamWConfig()"),
        ("MACRO = 1", "no statement uses %MACRO"),
        ("EMBED_DIMS = 1", "no statement uses %EMBED_DIMS; did you mean EMBED_DIM?"),
        ("embed_dims/macro.value = 1", "no statement uses %embed_dims; did you mean EMBED_DIM?"),
        ("ModelConfig.encoder = @encoder/StackConfg()", "did you mean StackConfig?"),
    ],
)
def test_a_name_that_means_nothing_is_an_error_in_a_file_and_as_a_flag(
    problems, tiny_model, line, expected
):
    """gin accepts a misspelt macro or scope in silence."""
    (in_file,) = problems(tiny_model, line)
    assert in_file.startswith("file_1.gin:1: ") and expected in in_file
    name = line.partition(" =")[0]
    (as_flag,) = problems(tiny_model, flags=[line.replace(" = ", "=")])
    assert as_flag.startswith(f"--gin.{name} on the command line: ") and expected in as_flag


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("EMBED_DIM = '16'", "ModelConfig.embed_dim needs int; given '16' = %EMBED_DIM (bound to"),
        ("EMBED_DIM = True", "needs int; given True"),
        ("EMBED_DIM = 16.5", "needs int; given 16.5"),
        ("EMBED_DIM = 1e3", "needs int; given 1000.0 = %EMBED_DIM (bound to it at file_0.gin:3)"),
        ("EMBED_DIM = 1e3", "; write 1000"),
        ("EMBED_DIM = None", "needs int; given None"),
        ("ModelConfig.dropout_rate = 'much'", "needs float; given 'much'"),
        ("ModelConfig.scale_logits = 1", "needs True or False; given 1"),
        ("ModelConfig.scale_logits = 'true'", "given 'true'; write True"),
        ("MLPConfig.activations = ('relu')", "a tuple of one needs a comma: ('relu',)"),
        ("MLPConfig.activations = ('relu', 1)", "needs str; given 1 in ('relu', 1)"),
        ("ModelConfig.sharing = 'non'", "needs one of 'none', 'encoder_decoder'; given 'non'; did"),
        (
            "ModelConfig.decoder = @BlockConfig()",
            "needs @StackConfig() or None; given @BlockConfig()",
        ),
        ("ModelConfig.decoder = @StackConfig", "needs its parentheses: @StackConfig()"),
        ("ModelConfig.encoder = 3", "needs @StackConfig() or None; given 3"),
        ("ModelConfig.dropout_rate = @StackConfig()", "needs float; given @StackConfig()"),
        ("ComputeConfig.activation_dtype = 'float16'", "exceed 65504"),
    ],
)
def test_a_value_of_the_wrong_kind_names_field_place_given_and_needed(
    problems, tiny_model, line, expected
):
    (message,) = problems(tiny_model, line)
    assert message.startswith("file_1.gin:1: ")
    assert expected in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "PartitioningConfig.logical_axis_rules = (('batch', 1),)",
            "needs str or a tuple of (str) or None; given 1 in (('batch', 1),)",
        ),
        (
            "PartitioningConfig.logical_axis_rules = (('batch',),)",
            "or a tuple of (str) or None); given ('batch',) in (('batch',),)",
        ),
        ("DatasetConfig.task_feature_lengths = {'inputs': 'a'}", "needs int; given 'a' in {'inp"),
        ("DatasetConfig.task_feature_lengths = {1: 2}", "needs str; given 1 in {1: 2}"),
        ("DatasetConfig.task_feature_lengths = 64", "needs a mapping {str: int} or None; given 64"),
        ("DatasetConfig.use_cached = 'yes'", "needs one of 'auto', True, False; given 'yes'"),
        ("DatasetConfig.use_cached = 1", "needs one of 'auto', True, False; given 1"),
        ("TrainConfig.model_dir = 2024", "needs str; given 2024; quote it: "),
        ("LossConfig.normalizing_factor = ()", "needs float or one of 'NUM_REAL_TARGET_TOKENS'"),
        (
            "LossConfig.normalizing_factor = 'NUM_REAL_TOKENS'",
            "did you mean NUM_REAL_TARGET_TOKENS?",
        ),
        (
            "TrainConfig.optimizer = @ScheduleConfig()",
            "or @AdamWConfig() or @LambConfig() or @LionConfig(); given @ScheduleConfig()",
        ),
    ],
)
def test_a_wrong_value_in_a_job_is_named(problems, line, expected):
    found = problems(line, root=TrainConfig)
    assert any(message.startswith("file_0.gin:1: ") and expected in message for message in found)


def test_a_definition_twice_in_a_file_names_both_lines(problems, tiny_model):
    """Order never matters, so neither of the two can be the one that is meant."""
    text = "EMBED_DIM = 1\n\nEMBED_DIM = 1\n"
    text += "ModelConfig.vocab_size = 1\nModelConfig:\n  vocab_size = 2\n"
    assert problems(tiny_model, text) == [
        "file_1.gin:3: EMBED_DIM is defined twice in this file, first in line 1",
        "file_1.gin:6: ModelConfig.vocab_size is defined twice in this file, first in line 4",
    ]


def test_a_required_macro_says_which_flag_gives_it_and_who_needs_it(problems, tiny_model):
    text = tiny_model.replace("EMBED_DIM = 16", "EMBED_DIM = %gin.REQUIRED")
    assert problems(text) == [
        "EMBED_DIM has no value: --gin.EMBED_DIM=... (for ModelConfig.embed_dim, file_0.gin:3)"
    ]


def test_all_macros_of_one_value_are_looked_up(problems, tiny_model):
    """A flag for the second is not called unused because the first is missing."""
    text = f"{tiny_model}\nMLPConfig.activations = (%FIRST, %SECOND, %THIRD)"
    found = problems(text, flags=["SECOND=relu"])
    assert [message.partition(" ")[0] for message in found] == ["FIRST", "THIRD"]


def test_a_missing_field_says_which_flag_gives_it(problems):
    """Each comes with its class, as nothing says yet in which macro it could stand."""
    found = problems("ModelConfig.vocab_size = 8")
    assert (
        "ModelConfig.embed_dim has no value; needed is int: --gin.ModelConfig.embed_dim=..."
        in found
    )
    assert any(
        message.startswith("StackConfig.visibility has no value; needed is one of")
        for message in found
    )


def test_a_macro_may_not_be_defined_by_itself(problems, tiny_model):
    text = tiny_model.replace("EMBED_DIM = 16", "EMBED_DIM = %OTHER\nOTHER = (1, %EMBED_DIM)")
    assert problems(text) == ["file_0.gin:5: %EMBED_DIM is defined by itself"]


def test_a_config_that_refuses_its_values_shows_where_they_come_from(problems, tiny_model):
    text = f"{tiny_model}\nStackConfig.layers_divisor = 3"
    (message,) = problems(text)
    assert "num_layers=2 with layers_divisor=3" in message
    assert "StackConfig.num_layers at file_0.gin:6" in message
    assert "StackConfig.layers_divisor at file_0.gin:12" in message


def test_what_a_config_refuses_shows_also_while_other_fields_are_missing(problems):
    """Else the missing steps would appear only once the rest is given."""
    found = problems("", root=TrainConfig)
    assert any("--gin.TRAIN_STEPS=... (counted from zero)" in message for message in found)
    assert any(message.startswith("TrainConfig.model_dir has no value") for message in found)


def test_a_check_that_needs_a_missing_field_is_put_off(problems):
    """The decoder is unknown, so nothing can be said of its cross-attention."""
    found = problems("ModelConfig.vocab_size = 8\nModelConfig.embed_dim = 8")
    assert not any("cross_attention" in message for message in found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("EMBED_DIM = ", 1),
        ("EMBED_DIM = 1\nMLPConfig.mlp_dim = (1,", 2),
        ("EMBED_DIM = 1\nMLPConfig.mlp_dim = (1,\n", 2),
        ("\nEMBED_DIM 3", 2),
        ("EMBED_DIM = 2**10", 1),
        ("EMBED_DIM = name", 1),
        ("a//b = 1", 1),
        ("ModelConfig:\n  vocab_size 3", 2),
        ("include nothing", 1),
        ("EMBED_DIM = {[1]: 2}", None),
    ],
)
def test_a_syntax_error_has_a_line_and_hides_no_other_file(problems, text, line):
    """What is missing or unused is not told: it may stand where the text could not be read."""
    first, second = problems(text, "ModelConfig.vocabsize = 1")
    place = "file_0.gin" if line is None else f"file_0.gin:{line}"
    assert first.startswith(f"{place}: not gin: ")
    assert second.startswith("file_1.gin:1: ModelConfig has no parameter vocabsize")


def test_a_missing_file_shows_where_it_was_looked_for_and_the_nearest(in_folder):
    folder = in_folder(mine="include 'recipes/pretrainn.gin'")
    (folder / "more").mkdir()
    with pytest.raises(config.ConfigError) as caught:
        config.resolve(ComputeConfig, ["mine.gin", "mne.gin"], search_paths=["more", "."])
    included, given = str(caught.value).splitlines()[1:]
    assert (
        "mine.gin:1: gin file 'recipes/pretrainn.gin' is not found; searched in more, ." in included
    )
    assert str(config.packaged_root()) in included
    assert included.endswith("did you mean recipes/pretrain.gin?")
    assert "--gin_file=mne.gin: gin file 'mne.gin' is not found" in given
    assert given.endswith("did you mean mine.gin?")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "network.T5Config.emb_dim = 8",
            "T5Config.emb_dim is a name of T5X; here it is ModelConfig.em",
        ),
        ("utils.DatasetConfig.batch_size = 8", "here it is DatasetConfig"),
        ("train/utils.DatasetConfig.batch_size = 8", "here it is DatasetConfig"),
        ("utils.SaveCheckpointConfig.period = 8", "here it is SaveCheckpointConfig"),
        ("partitioning.PjitPartitioner.num_partitions = 2", "(--gin.NUM_PARTITIONS=...)"),
        ("train_script.train.eval_period = 2", "TrainConfig.eval_period"),
        ("adafactor.Adafactor.decay_rate = 0.5", "here it is AdafactorConfig.decay_rate"),
        ("utils.create_learning_rate_scheduler.warmup_steps = 5", "ScheduleConfig.warmup_steps"),
        ("decoding.temperature_sample.max_decode_steps = 5", "DecodingConfig.max_decode_length"),
        ("trainer.Trainer.num_microbatches = 4", "(--gin.NUM_MICROBATCHES=...)"),
        ("EVALUATOR_NUM_EXAMPLES = 4", "here it is NUM_EXAMPLES"),
        ("ModelConfig.encoder = @models.EncoderDecoderModel()", "here it is ModelConfig"),
    ],
)
def test_names_of_t5x_are_translated(problems, tiny_model, line, expected):
    (message,) = problems(tiny_model, line)
    assert expected in message


def test_every_translation_into_a_field_of_ours_is_a_field(tiny_model):
    """A name that was renamed here must not be recommended any more."""
    import re

    from t5x_lite.config import configurables, t5x_names

    for text in t5x_names._REPLACEMENTS.values():
        for name, field in re.findall(r"\b(\w+Config)\b(?:\.(\w+))?", text):
            cls = configurables.find(name)
            assert cls is not None, text
            assert not field or field in configurables.field_types(cls), text


def test_a_flag_without_effect_says_why(problems, tiny_model):
    """A language model has no encoder: a file may speak of one, a flag has to do something."""
    base = tiny_model.replace("StackConfig.num_layers = 2", "StackConfig.num_layers = %LAYERS")
    base += "\nLAYERS = 2\nModelConfig.encoder = @encoder/StackConfig()"
    base += "\nencoder/StackConfig.num_layers = %ENCODER_LAYERS\nENCODER_LAYERS = 2"
    without = "ModelConfig.encoder = None"
    assert problems(base, without, flags=["ENCODER_LAYERS=4"]) == [
        "--gin.ENCODER_LAYERS on the command line: ENCODER_LAYERS has no effect: it is used only "
        "by encoder/StackConfig.num_layers at file_0.gin:14, which is not in effect here"
    ]
    (message,) = problems(base, without, flags=["encoder/StackConfig.layers_divisor=1"])
    assert "has no effect: nothing here builds @encoder/StackConfig()" in message


def test_a_general_flag_is_refused_where_files_are_more_specific(problems, tiny_model):
    (message,) = problems(
        f"{tiny_model}\ndecoder/MLPConfig.mlp_dim = 8", flags=["MLPConfig.mlp_dim=4"]
    )
    assert message == (
        "--gin.MLPConfig.mlp_dim on the command line: MLPConfig.mlp_dim has no effect: "
        "more specific is decoder/MLPConfig.mlp_dim at file_0.gin:12"
    )


def test_a_general_statement_of_a_later_file_is_refused_as_well(problems, resolve, tiny_model):
    """It was meant to override; an earlier or equal one is a default for the other scopes."""
    special = "decoder/MLPConfig.mlp_dim = 8"
    (message,) = problems(f"{tiny_model}\n{special}", "MLPConfig.mlp_dim = 4")
    assert message.startswith("file_1.gin:1: MLPConfig.mlp_dim has no effect: more specific is ")
    assert resolve(tiny_model, special).config.decoder.block.mlp.mlp_dim == 8


def test_a_misspelt_reference_is_one_problem(problems, tiny_model):
    """What it would have used is not called unused on top."""
    text = tiny_model.replace("@decoder/StackConfig()", "@decoder/StackConfg()")
    flags = ["decoder/MLPConfig.mlp_dim=9"]
    assert problems(text, flags=flags) == [
        "file_0.gin:4: @decoder/StackConfg(): nothing configurable is called StackConfg; "
        "did you mean StackConfig?"
    ]


@pytest.mark.parametrize("flag", ["EMBED_DIM", "EMBED_DIM=", "=3", "EMBED DIM=3"])
def test_a_flag_that_binds_nothing_is_explained(problems, tiny_model, flag):
    (message,) = problems(tiny_model, flags=[flag])
    assert "NAME=VALUE" in message and repr(flag) in message


@pytest.mark.parametrize("deep", ["[" * 3000 + "]" * 3000, "[" * 60 + "]" * 60])
def test_a_value_that_is_nested_without_end_is_refused(problems, deep):
    """Python's own limits would end in a traceback; from 3.12 on it counts brackets itself, too."""
    (line,) = problems(f"X = 1\nY = {deep}")
    said = ("file_0.gin: a value is nested more than 50 deep", "too many nested parentheses")
    assert any(each in line for each in said)


def test_macros_that_multiply_come_to_an_end(problems, tiny_model):
    """Nine levels of ten members each are a billion members."""
    levels = "".join(f"A{i} = [{', '.join([f'%A{i + 1}'] * 10)}]\n" for i in range(9))
    text = tiny_model.replace("%EMBED_DIM\n", "%A0\n").replace("EMBED_DIM = 16", levels + "A9 = 1")
    (line,) = problems(text)
    assert (
        "ModelConfig.embed_dim has more than 100,000 members once its macros are expanded" in line
    )


def test_a_chain_of_macros_has_an_end(problems, tiny_model):
    links = "".join(f"A{i} = %A{i + 1}\n" for i in range(3000))
    text = tiny_model.replace("%EMBED_DIM\n", "%A0\n").replace(
        "EMBED_DIM = 16", links + "A3000 = 1"
    )
    (line,) = problems(text)
    assert "needs more than 50 macros in a row" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A = 1".encode("utf-16"), "is text in UTF-16"),
        (b"\x1f\x8b\x08\x00", "is compressed by gzip"),
        (b"A = 1\nB = '\xff'", "line 2: byte 0xff is no UTF-8"),
        (b"# " + b"-" * 2**20, "bytes; needed are at most 1,048,576"),
    ],
)
def test_a_file_of_another_kind_is_told_from_gin(in_folder, content, message):
    folder = in_folder()
    (folder / "x.gin").write_bytes(content)
    with pytest.raises(config.ConfigError, match=message):
        config.resolve(ComputeConfig, ["x.gin"])


def test_a_long_value_is_shown_by_its_beginning(problems, tiny_model):
    (line,) = problems(tiny_model.replace("EMBED_DIM = 16", f"EMBED_DIM = '{'x' * 9000}'"))
    assert len(line) < 1000 and "xxx..." in line


def test_what_has_no_value_is_shown_so():
    """Not as an object of ours."""
    files = ["models/t5_1_1/tiny.gin", "recipes/encoder_finetune.gin"]
    given = {"TRAIN_STEPS_RELATIVE": 6, "MODEL_DIR": "'run'"}
    overrides = [(f"--gin.{name}", f"{name}={value}") for name, value in given.items()]
    with pytest.raises(config.ConfigError, match=r"train_steps=\(no value\)") as caught:
        config.resolve(TrainConfig, files, overrides=overrides)
    assert " object at " not in str(caught.value)
