"""ALBERT (Lan et al. 2020) at Hugging Face: all layers alike, or each with its own."""

import functools

from t5x_lite.checkpoints.formats import encoders
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig

_NAMES = parse("""
token_embedder/embedding                              same        albert.embeddings.word_embeddings.weight
encoder/position_embedder/embedding                   same        albert.embeddings.position_embeddings.weight
encoder/type_embedder/embedding                       same        albert.embeddings.token_type_embeddings.weight
encoder/input_norm/scale                              same        albert.embeddings.LayerNorm.weight
encoder/input_norm/bias                               same        albert.embeddings.LayerNorm.bias
encoder/input_projection/kernel                       transposed  albert.encoder.embedding_hidden_mapping_in.weight
encoder/input_projection/bias                         same        albert.encoder.embedding_hidden_mapping_in.bias
encoder/layers/attention/query/kernel                 transposed  albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.query.weight
encoder/layers/attention/query/bias                   same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.query.bias
encoder/layers/attention/key/kernel                   transposed  albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.key.weight
encoder/layers/attention/key/bias                     same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.key.bias
encoder/layers/attention/value/kernel                 transposed  albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.value.weight
encoder/layers/attention/value/bias                   same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.value.bias
encoder/layers/attention/out/kernel                   transposed  albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.dense.weight
encoder/layers/attention/out/bias                     same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.dense.bias
encoder/layers/post_attention_layer_norm/scale        same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.LayerNorm.weight
encoder/layers/post_attention_layer_norm/bias         same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.attention.LayerNorm.bias
encoder/layers/mlp/wi/kernel                          transposed  albert.encoder.albert_layer_groups.{i}.albert_layers.0.ffn.weight
encoder/layers/mlp/wi/bias                            same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.ffn.bias
encoder/layers/mlp/wo/kernel                          transposed  albert.encoder.albert_layer_groups.{i}.albert_layers.0.ffn_output.weight
encoder/layers/mlp/wo/bias                            same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.ffn_output.bias
encoder/layers/post_mlp_layer_norm/scale              same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.full_layer_layer_norm.weight
encoder/layers/post_mlp_layer_norm/bias               same        albert.encoder.albert_layer_groups.{i}.albert_layers.0.full_layer_layer_norm.bias
encoder/shared_layer/attention/query/kernel           transposed  albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight
encoder/shared_layer/attention/query/bias             same        albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.bias
encoder/shared_layer/attention/key/kernel             transposed  albert.encoder.albert_layer_groups.0.albert_layers.0.attention.key.weight
encoder/shared_layer/attention/key/bias               same        albert.encoder.albert_layer_groups.0.albert_layers.0.attention.key.bias
encoder/shared_layer/attention/value/kernel           transposed  albert.encoder.albert_layer_groups.0.albert_layers.0.attention.value.weight
encoder/shared_layer/attention/value/bias             same        albert.encoder.albert_layer_groups.0.albert_layers.0.attention.value.bias
encoder/shared_layer/attention/out/kernel             transposed  albert.encoder.albert_layer_groups.0.albert_layers.0.attention.dense.weight
encoder/shared_layer/attention/out/bias               same        albert.encoder.albert_layer_groups.0.albert_layers.0.attention.dense.bias
encoder/shared_layer/post_attention_layer_norm/scale  same        albert.encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.weight
encoder/shared_layer/post_attention_layer_norm/bias   same        albert.encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.bias
encoder/shared_layer/mlp/wi/kernel                    transposed  albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight
encoder/shared_layer/mlp/wi/bias                      same        albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.bias
encoder/shared_layer/mlp/wo/kernel                    transposed  albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight
encoder/shared_layer/mlp/wo/bias                      same        albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.bias
encoder/shared_layer/post_mlp_layer_norm/scale        same        albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight
encoder/shared_layer/post_mlp_layer_norm/bias         same        albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.bias
pooler/dense/kernel                                   transposed  albert.pooler.weight
pooler/dense/bias                                     same        albert.pooler.bias
heads/tokens/transform/kernel                         transposed  predictions.dense.weight
heads/tokens/transform/bias                           same        predictions.dense.bias
heads/tokens/norm/scale                               same        predictions.LayerNorm.weight
heads/tokens/norm/bias                                same        predictions.LayerNorm.bias
heads/tokens/bias                                     same        predictions.bias
heads/sentence/out/kernel                             transposed  sop_classifier.classifier.weight
heads/sentence/out/bias                               same        sop_classifier.classifier.bias
heads/classes/out/kernel                              transposed  classifier.weight
heads/classes/out/bias                                same        classifier.bias
heads/regression/out/kernel                           transposed  classifier.weight
heads/regression/out/bias                             same        classifier.bias
heads/span/out/kernel                                 transposed  qa_outputs.weight
heads/span/out/bias                                   same        qa_outputs.bias
""")  # noqa: E501
_FAMILY = encoders.Family(
    name="Albert",
    prefix="albert.",
    heads=(
        ("predictions.", HeadConfig()),
        ("sop_classifier.", HeadConfig(kind=HeadKind.SENTENCE, pooled=True)),
        ("classifier.", HeadConfig(kind=HeadKind.CLASSES, pooled=True)),
        ("qa_outputs.", HeadConfig(kind=HeadKind.SPAN)),
    ),
    of_layers=(HeadKind.TOKENS,),
    special=SpecialTokens(padding=0, start=2, end=3, unknown=1),
    fields={"token_dim": "embedding_size", "groups": "num_hidden_groups"},
    defaults={"token_dim": 128, "groups": 1, "activation": "gelu_new", "dropout": 0.0},
    fixed={"inner_group_num": 1},
    projects_always=True,
)

ALBERT = Format(
    name="ALBERT",
    model_types=("albert",),
    model_class="AlbertModel",
    scope=f"{encoders.SCOPE}, token vectors of a width of their own, layers that share all or "
    "nothing, a pooler, and heads of masked tokens, sentences, classes, a number or spans",
    read_config=functools.partial(encoders.read, _FAMILY),
    write_config=functools.partial(encoders.write, _FAMILY),
    names=_NAMES,
    copies={
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
    prefix=_FAMILY.prefix,
    constants=r"(albert\.)?embeddings\.(position_ids|token_type_ids)",
    formerly={".gamma": ".weight", ".beta": ".bias"},
)
