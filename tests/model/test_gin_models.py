"""gin/models: the published sizes and architectures, by their exact parameter counts (INV-1)."""

import pytest

from t5x_lite import config as gin_config
from t5x_lite.checkpoints.inspect import in_words
from t5x_lite.model import transformer
from t5x_lite.model.choices import AttentionForm
from t5x_lite.model.config import ModelConfig, Visibility

V1_0_BASE = "models/t5_1_0/base.gin"

COUNTS = {
    "t5_1_0/small": 60_506_624,
    "t5_1_0/base": 222_903_552,
    "t5_1_0/large": 737_668_096,
    "t5_1_0/3b": 2_851_598_336,
    "t5_1_0/11b": 11_307_321_344,
    "t5_1_0/scale_2x": 502_746_112,
    "t5_1_0/scale_4x": 972_590_080,
    "t5_1_1/small": 76_961_152,
    "t5_1_1/base": 247_577_856,
    "t5_1_1/large": 783_150_080,
    "t5_1_1/xl": 2_849_757_184,
    "t5_1_1/xxl": 11_135_332_352,
    "mt5/small": 300_176_768,
    "mt5/base": 582_401_280,
    "mt5/large": 1_229_581_312,
    "mt5/xl": 3_742_619_648,
    "mt5/xxl": 12_921_057_280,
    "umt5/small": 306_601_984,
    "umt5/base": 592_043_520,
    "umt5/xl": 3_768_356_864,
    "umt5/xxl": 12_972_531_712,
    "byt5/small": 299_637_760,
    "byt5/base": 581_653_248,
    "byt5/large": 1_228_183_552,
    "byt5/xl": 3_737_801_728,
    "byt5/xxl": 12_906_899_328,
    "gpt2/small": 124_439_808,
    "gpt2/medium": 354_823_168,
    "gpt2/large": 774_030_080,
    "gpt2/xl": 1_557_611_200,
    "gpt3/small": 125_226_240,
    "gpt3/medium": 355_871_744,
    "gpt3/large": 760_300_032,
    "gpt3/xl": 1_517_123_584,
    "gpt3/2_7b": 2_651_553_280,
    "gpt3/6_7b": 6_658_404_352,
    "gpt3/13b": 12_936_488_380,
    "gpt3/175b": 174_604_259_328,
    "bert/base": 110_106_428,
    "bert/large": 336_226_108,
    "roberta/base": 124_697_433,
    "roberta/large": 355_412_057,
    "distilbert/base": 66_985_530,
    "albert/base": 11_813_810,
    "albert/large": 17_847_474,
    "albert/xlarge": 59_021_490,
    "albert/xxlarge": 223_158_450,
    "electra/small": 13_549_057,
    "electra/base": 109_483_009,
    "electra/large": 335_142_913,
    "electra/small_generator": 4_620_026,
    "electra/base_generator": 33_740_602,
    "electra/large_generator": 51_295_290,
    # With their generators, token vectors, positions, types and their norm counted once.
    "electra/small_joint": 14_196_219,
    "electra/base_joint": 119_386_427,
    "electra/large_joint": 354_655_291,
    "xlnet/base": 116_750_336,
    "xlnet/large": 360_300_800,
}

# Lan et al. (2020), table 4, of base: with a pooler, without heads.
SHARINGS = {
    (768, "all"): 31_114_752,
    (768, "attention"): 83_078_400,
    (768, "mlp"): 57_117_696,
    (768, "none"): 109_081_344,
    (128, "all"): 11_683_584,
    (128, "attention"): 63_647_232,
    (128, "mlp"): 37_686_528,
    (128, "none"): 89_650_176,
}

# Raffel et al. (2020), table 2, on base: all parameters; without the embedding.
ARCHITECTURES = {
    "encoder_decoder": (222_903_552, 198_229_248),
    "shared": (137_949_312, 113_275_008),
    "half_depth": (123_790_080, 99_115_776),
    "lm": (109_628_544, 84_954_240),
    "prefix_lm": (109_628_544, 84_954_240),
}


def model_of(*gin_files):
    return gin_config.resolve(ModelConfig, gin_files).config


def flagged(gin_file, *flags):
    """A model with flags."""
    overrides = [("--gin", flag) for flag in flags]
    return gin_config.resolve(ModelConfig, [gin_file], overrides=overrides).config


@pytest.mark.parametrize("size", COUNTS)
def test_published_sizes_have_their_exact_number_of_parameters(size):
    """From abstract shapes: nothing is allocated, so 13 billion cost nothing."""
    assert transformer.num_parameters(model_of(f"models/{size}.gin")) == COUNTS[size]


@pytest.mark.parametrize(("token_dim", "sharing"), SHARINGS)
def test_layers_that_share_weights_have_their_exact_number_of_parameters(token_dim, sharing):
    """What is shared is counted once, whatever the width of token vectors; where it is that of the
    model there is no kernel, which None says.
    """
    width = None if token_dim == 768 else token_dim
    flags = (f"TOKEN_DIM={width}", f"LAYER_SHARING='{sharing}'", "HEADS=()")
    model = flagged("models/albert/base.gin", *flags)
    assert transformer.num_parameters(model) == SHARINGS[token_dim, sharing]


@pytest.mark.parametrize(
    ("size", "expected"), [("bert/base", 109_482_240), ("distilbert/base", 66_362_880)]
)
def test_encoders_without_heads_have_their_exact_number_of_parameters(size, expected):
    """Sanh et al. (2019): two fifths fewer, without a pooler and types of tokens."""
    assert transformer.num_parameters(flagged(f"models/{size}.gin", "HEADS=()")) == expected


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra", "xlnet"])
def test_heads_are_a_flag(family):
    """What fine-tuning needs: classes by the family's own way, a number, a span."""
    size = "small" if family == "electra" else "base"
    heads = "(@classes/HeadConfig(), @regression/HeadConfig(), @span/HeadConfig())"
    model = flagged(f"models/{family}/{size}.gin", f"HEADS={heads}", "NUM_CLASSES=3")
    assert [head.kind.value for head in model.heads] == ["classes", "regression", "span"]
    assert model.heads[0].num_outputs == 3
    assert model.heads[0].pooled == model.pooler == (family in ("bert", "albert"))
    assert ("two streams in the encoder, " in in_words(model)) == (family == "xlnet")
    said = ", a head of classes (3), a head of regression, a head of span: "
    assert said in in_words(model) and in_words(model).startswith("encoder, ")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_of_table_2_have_their_exact_number_of_parameters(architecture):
    """A variant is one more file after any size."""
    model = model_of(V1_0_BASE, f"models/architectures/{architecture}.gin")
    total = transformer.num_parameters(model)
    assert (total, total - model.vocab_size * model.embed_dim) == ARCHITECTURES[architecture]


@pytest.mark.parametrize("size", ["t5_1_0/small", "t5_1_1/small", "mt5/small", "umt5/small"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_combines_with_every_family(architecture, size):
    """Only what the architecture is about changes: visibility, stacks, sharing, bucket rule."""
    plain = model_of(f"models/{size}.gin")
    variant = model_of(f"models/{size}.gin", f"models/architectures/{architecture}.gin")
    assert variant.decoder.block.mlp == plain.decoder.block.mlp
    assert variant.logits_via_embedding == plain.logits_via_embedding
    assert (variant.encoder is None) == (architecture in ("lm", "prefix_lm"))
    is_prefix = architecture == "prefix_lm"
    assert (variant.decoder.visibility is Visibility.PREFIX) == is_prefix
    assert variant.decoder.relative_bias.bidirectional == is_prefix
    assert variant.decoder.relative_bias.per_layer == size.startswith("umt5")


def test_of_two_architectures_the_later_wins():
    """An architecture says all it is about, so it also undoes another."""
    files = [V1_0_BASE, "models/architectures/prefix_lm.gin"]
    back = model_of(*files, "models/architectures/encoder_decoder.gin")
    shared = model_of(V1_0_BASE, "models/architectures/shared.gin")
    assert back == model_of(V1_0_BASE)
    assert back != shared


def test_sharing_needs_equal_stacks():
    """ByT5's encoder is deeper than its decoder: sharing is refused, with the depths shown."""
    with pytest.raises(gin_config.ConfigError, match="same depth"):
        model_of("models/byt5/small.gin", "models/architectures/shared.gin")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("MLPConfig.activations=('gelo',)", "the nearest is 'gelu'"),
        ("ACTIVATION_DTYPE=float16", "65504"),
        ("DROPOUT_RATE=1.0", "dropout_rate=1.0: needed is less than 1"),
        ("StackConfig.layers_divisor=5", "the divisor divides"),
        ("StackConfig.window=0", "window=0: needed is at least 1"),
        ("encoder/BlockConfig.cross_attention=True", "nothing to attend to"),
        ("decoder/BlockConfig.cross_attention=False", "exactly when"),
    ],
)
def test_impossible_models_are_refused_before_anything_is_built(override, message):
    """Each says what was given and what is needed."""
    with pytest.raises(gin_config.ConfigError) as error:
        gin_config.resolve(ModelConfig, [V1_0_BASE], overrides=[("--gin", override)])
    assert message in str(error.value)


def test_a_window_is_a_flag_of_each_stack_or_of_both():
    """None unless it is said, and no parameter changes by it."""
    flags = ["StackConfig.window=9", "decoder/StackConfig.window=None"]
    plain, both, encoder = (
        gin_config.resolve(ModelConfig, [V1_0_BASE], overrides=[("--gin", f) for f in given]).config
        for given in ([], flags[:1], flags)
    )
    windows = [(each.encoder.window, each.decoder.window) for each in (plain, both, encoder)]
    assert windows == [(None, None), (9, 9), (9, None)]
    assert transformer.abstract_parameters(both) == transformer.abstract_parameters(plain)
    assert ", a window of 9 in the encoder: " in in_words(encoder)


def test_gpt_3_s_layers_are_dense_and_banded_in_turn():
    """Brown et al. (2020), section 2.1; all are dense without a window."""
    model = model_of("models/gpt3/175b.gin")
    stack = model.decoder
    assert (stack.depth, stack.num_local, stack.window, stack.max_length) == (96, 48, 256, 2048)
    assert ", a window of 256 in every 2 layers of the decoder: 174,604,259,328" in in_words(model)
    flags = [("--gin", "WINDOW=None")]
    dense = gin_config.resolve(ModelConfig, ["models/gpt3/175b.gin"], overrides=flags).config
    assert dense.decoder.num_local == 0


@pytest.mark.parametrize("model", ["models/t5_1_0/base.gin", "models/gpt2/small.gin"])
def test_the_form_of_attention_is_a_flag(model):
    """Auto unless it is said, and no parameter changes by it."""
    flags = [("--gin", "ComputeConfig.attention='blockwise'")]
    plain, said = (
        gin_config.resolve(ModelConfig, [model], overrides=overrides).config
        for overrides in ([], flags)
    )
    assert plain.compute.attention is AttentionForm.AUTO
    assert said.compute.attention is AttentionForm.BLOCKWISE
    assert transformer.abstract_parameters(said) == transformer.abstract_parameters(plain)
