"""DistilBERT (Sanh et al. 2019) at Hugging Face: neither types of tokens nor a pooler."""

import functools

from t5x_lite.checkpoints.formats import encoders
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig

_NAMES = parse("""
token_embedder/embedding                        same        distilbert.embeddings.word_embeddings.weight
encoder/position_embedder/embedding             same        distilbert.embeddings.position_embeddings.weight
encoder/input_norm/scale                        same        distilbert.embeddings.LayerNorm.weight
encoder/input_norm/bias                         same        distilbert.embeddings.LayerNorm.bias
encoder/layers/attention/query/kernel           transposed  distilbert.transformer.layer.{i}.attention.q_lin.weight
encoder/layers/attention/query/bias             same        distilbert.transformer.layer.{i}.attention.q_lin.bias
encoder/layers/attention/key/kernel             transposed  distilbert.transformer.layer.{i}.attention.k_lin.weight
encoder/layers/attention/key/bias               same        distilbert.transformer.layer.{i}.attention.k_lin.bias
encoder/layers/attention/value/kernel           transposed  distilbert.transformer.layer.{i}.attention.v_lin.weight
encoder/layers/attention/value/bias             same        distilbert.transformer.layer.{i}.attention.v_lin.bias
encoder/layers/attention/out/kernel             transposed  distilbert.transformer.layer.{i}.attention.out_lin.weight
encoder/layers/attention/out/bias               same        distilbert.transformer.layer.{i}.attention.out_lin.bias
encoder/layers/post_attention_layer_norm/scale  same        distilbert.transformer.layer.{i}.sa_layer_norm.weight
encoder/layers/post_attention_layer_norm/bias   same        distilbert.transformer.layer.{i}.sa_layer_norm.bias
encoder/layers/mlp/wi/kernel                    transposed  distilbert.transformer.layer.{i}.ffn.lin1.weight
encoder/layers/mlp/wi/bias                      same        distilbert.transformer.layer.{i}.ffn.lin1.bias
encoder/layers/mlp/wo/kernel                    transposed  distilbert.transformer.layer.{i}.ffn.lin2.weight
encoder/layers/mlp/wo/bias                      same        distilbert.transformer.layer.{i}.ffn.lin2.bias
encoder/layers/post_mlp_layer_norm/scale        same        distilbert.transformer.layer.{i}.output_layer_norm.weight
encoder/layers/post_mlp_layer_norm/bias         same        distilbert.transformer.layer.{i}.output_layer_norm.bias
heads/tokens/transform/kernel                   transposed  vocab_transform.weight
heads/tokens/transform/bias                     same        vocab_transform.bias
heads/tokens/norm/scale                         same        vocab_layer_norm.weight
heads/tokens/norm/bias                          same        vocab_layer_norm.bias
heads/tokens/bias                               same        vocab_projector.bias
heads/classes/transform/kernel                  transposed  pre_classifier.weight
heads/classes/transform/bias                    same        pre_classifier.bias
heads/classes/out/kernel                        transposed  classifier.weight
heads/classes/out/bias                          same        classifier.bias
heads/regression/transform/kernel               transposed  pre_classifier.weight
heads/regression/transform/bias                 same        pre_classifier.bias
heads/regression/out/kernel                     transposed  classifier.weight
heads/regression/out/bias                       same        classifier.bias
heads/span/out/kernel                           transposed  qa_outputs.weight
heads/span/out/bias                             same        qa_outputs.bias
""")  # noqa: E501
_FAMILY = encoders.Family(
    name="DistilBert",
    prefix="distilbert.",
    heads=(
        ("vocab_", HeadConfig()),
        ("classifier.", HeadConfig(kind=HeadKind.CLASSES, transform="relu")),
        ("qa_outputs.", HeadConfig(kind=HeadKind.SPAN)),
    ),
    of_layers=(HeadKind.TOKENS,),
    special=SpecialTokens(padding=0, start=101, end=102, unknown=100),
    fields={
        "embed_dim": "dim",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "mlp_dim": "hidden_dim",
        "activation": "activation",
        "token_types": None,
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "epsilon": None,
    },
    fixed={"sinusoidal_pos_embds": False},
    fixed_epsilon=1e-12,
)

DISTILBERT = Format(
    name="DistilBERT",
    model_types=("distilbert",),
    model_class="DistilBertModel",
    scope=f"{encoders.SCOPE}, no types of tokens, no pooler, an epsilon of 1e-12, and heads of "
    "masked tokens, classes or a number by a dense layer with relu, or spans",
    read_config=functools.partial(encoders.read, _FAMILY),
    write_config=functools.partial(encoders.write, _FAMILY),
    names=_NAMES,
    copies={
        "vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight",
    },
    prefix=_FAMILY.prefix,
    constants=r"(distilbert\.)?embeddings\.(position_ids|token_type_ids)",
)
