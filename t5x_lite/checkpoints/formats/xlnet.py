"""XLNet (Yang et al. 2019) at Hugging Face, whose attention keeps heads apart in its tensors."""

import functools

from t5x_lite.checkpoints.formats import encoders
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.checkpoints.formats.positions import Distances
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import ExamplePlace, HeadKind
from t5x_lite.model.config import HeadConfig

_NAMES = parse("""
token_embedder/embedding                            same              transformer.word_embedding.weight
encoder/query_embedding                             lifted            transformer.mask_emb
encoder/layers/attention/query/kernel               split             transformer.layer.{i}.rel_attn.q
encoder/layers/attention/key/kernel                 split             transformer.layer.{i}.rel_attn.k
encoder/layers/attention/value/kernel               split             transformer.layer.{i}.rel_attn.v
encoder/layers/attention/out/kernel                 transposed_split  transformer.layer.{i}.rel_attn.o
encoder/layers/attention/relative/distance/kernel   split             transformer.layer.{i}.rel_attn.r
encoder/layers/attention/relative/content_bias      same              transformer.layer.{i}.rel_attn.r_w_bias
encoder/layers/attention/relative/distance_bias     same              transformer.layer.{i}.rel_attn.r_r_bias
encoder/layers/attention/relative/type_bias         same              transformer.layer.{i}.rel_attn.r_s_bias
encoder/layers/attention/relative/types             same              transformer.layer.{i}.rel_attn.seg_embed
encoder/layers/post_attention_layer_norm/scale      same              transformer.layer.{i}.rel_attn.layer_norm.weight
encoder/layers/post_attention_layer_norm/bias       same              transformer.layer.{i}.rel_attn.layer_norm.bias
encoder/layers/mlp/wi/kernel                        transposed        transformer.layer.{i}.ff.layer_1.weight
encoder/layers/mlp/wi/bias                          same              transformer.layer.{i}.ff.layer_1.bias
encoder/layers/mlp/wo/kernel                        transposed        transformer.layer.{i}.ff.layer_2.weight
encoder/layers/mlp/wo/bias                          same              transformer.layer.{i}.ff.layer_2.bias
encoder/layers/post_mlp_layer_norm/scale            same              transformer.layer.{i}.ff.layer_norm.weight
encoder/layers/post_mlp_layer_norm/bias             same              transformer.layer.{i}.ff.layer_norm.bias
heads/tokens/bias                                   same              lm_loss.bias
heads/classes/transform/kernel                      transposed        sequence_summary.summary.weight
heads/classes/transform/bias                        same              sequence_summary.summary.bias
heads/classes/out/kernel                            transposed        logits_proj.weight
heads/classes/out/bias                              same              logits_proj.bias
heads/regression/transform/kernel                   transposed        sequence_summary.summary.weight
heads/regression/transform/bias                     same              sequence_summary.summary.bias
heads/regression/out/kernel                         transposed        logits_proj.weight
heads/regression/out/bias                           same              logits_proj.bias
heads/span/out/kernel                               transposed        qa_outputs.weight
heads/span/out/bias                                 same              qa_outputs.bias
""")  # noqa: E501
_FAMILY = encoders.Family(
    name="XLNet",
    prefix="transformer.",
    heads=(
        ("lm_loss.", HeadConfig(bias=True)),
        ("logits_proj.", HeadConfig(kind=HeadKind.CLASSES, transform="tanh")),
        ("qa_outputs.", HeadConfig(kind=HeadKind.SPAN)),
    ),
    special=SpecialTokens(padding=5, start=3, end=4, unknown=0),
    # Its bos and eos are pieces that nothing stands between.
    tokens={
        "padding": "pad_token_id",
        "start": "cls_token_id",
        "end": "sep_token_id",
        "unknown": "unk_token_id",
    },
    fields={
        "embed_dim": "d_model",
        "num_layers": "n_layer",
        "num_heads": "n_head",
        "head_dim": "d_head",
        "mlp_dim": "d_inner",
        "activation": "ff_activation",
        "token_types": None,
        "dropout": "dropout",
        "attention_dropout": None,
    },
    classes={
        "Model": frozenset(),
        "LMHeadModel": frozenset({HeadKind.TOKENS}),
        "ForSequenceClassification": frozenset({HeadKind.CLASSES}),
        "ForQuestionAnsweringSimple": frozenset({HeadKind.SPAN}),
    },
    fixed={
        "untie_r": True,
        "summary_type": "last",
        "summary_use_proj": True,
        "summary_activation": "tanh",
    },
    positions=Distances(),
    attention_bias=False,
    of_stack={"two_streams": True, "output_dropout": True},
    of_model={"example_place": ExamplePlace.LAST},
)

XLNET = Format(
    name="XLNet",
    model_types=("xlnet",),
    model_class="XLNetModel",
    scope="an encoder alone of two streams with keys of distances and of types, norms behind "
    "sub-layers, biases but in attention, heads of attention that fill its width, examples told at "
    "their last token, no pooler, and heads of tokens with a bias for each, classes or a number by "
    "a dense layer with tanh, or spans",
    read_config=functools.partial(encoders.read, _FAMILY),
    write_config=functools.partial(encoders.write, _FAMILY),
    names=_NAMES,
    copies={"lm_loss.weight": "transformer.word_embedding.weight"},
    prefix=_FAMILY.prefix,
)
