"""RoBERTa (Liu et al. 2019) at Hugging Face: positions count from behind the padding id."""

import functools

from t5x_lite.checkpoints.formats import encoders
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.checkpoints.formats.positions import Learned
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig

_NAMES = parse("""
token_embedder/embedding                        same        roberta.embeddings.word_embeddings.weight
encoder/position_embedder/embedding             same        roberta.embeddings.position_embeddings.weight
encoder/type_embedder/embedding                 same        roberta.embeddings.token_type_embeddings.weight
encoder/input_norm/scale                        same        roberta.embeddings.LayerNorm.weight
encoder/input_norm/bias                         same        roberta.embeddings.LayerNorm.bias
encoder/layers/attention/query/kernel           transposed  roberta.encoder.layer.{i}.attention.self.query.weight
encoder/layers/attention/query/bias             same        roberta.encoder.layer.{i}.attention.self.query.bias
encoder/layers/attention/key/kernel             transposed  roberta.encoder.layer.{i}.attention.self.key.weight
encoder/layers/attention/key/bias               same        roberta.encoder.layer.{i}.attention.self.key.bias
encoder/layers/attention/value/kernel           transposed  roberta.encoder.layer.{i}.attention.self.value.weight
encoder/layers/attention/value/bias             same        roberta.encoder.layer.{i}.attention.self.value.bias
encoder/layers/attention/out/kernel             transposed  roberta.encoder.layer.{i}.attention.output.dense.weight
encoder/layers/attention/out/bias               same        roberta.encoder.layer.{i}.attention.output.dense.bias
encoder/layers/post_attention_layer_norm/scale  same        roberta.encoder.layer.{i}.attention.output.LayerNorm.weight
encoder/layers/post_attention_layer_norm/bias   same        roberta.encoder.layer.{i}.attention.output.LayerNorm.bias
encoder/layers/mlp/wi/kernel                    transposed  roberta.encoder.layer.{i}.intermediate.dense.weight
encoder/layers/mlp/wi/bias                      same        roberta.encoder.layer.{i}.intermediate.dense.bias
encoder/layers/mlp/wo/kernel                    transposed  roberta.encoder.layer.{i}.output.dense.weight
encoder/layers/mlp/wo/bias                      same        roberta.encoder.layer.{i}.output.dense.bias
encoder/layers/post_mlp_layer_norm/scale        same        roberta.encoder.layer.{i}.output.LayerNorm.weight
encoder/layers/post_mlp_layer_norm/bias         same        roberta.encoder.layer.{i}.output.LayerNorm.bias
pooler/dense/kernel                             transposed  roberta.pooler.dense.weight
pooler/dense/bias                               same        roberta.pooler.dense.bias
heads/tokens/transform/kernel                   transposed  lm_head.dense.weight
heads/tokens/transform/bias                     same        lm_head.dense.bias
heads/tokens/norm/scale                         same        lm_head.layer_norm.weight
heads/tokens/norm/bias                          same        lm_head.layer_norm.bias
heads/tokens/bias                               same        lm_head.bias
heads/classes/transform/kernel                  transposed  classifier.dense.weight
heads/classes/transform/bias                    same        classifier.dense.bias
heads/classes/out/kernel                        transposed  classifier.out_proj.weight
heads/classes/out/bias                          same        classifier.out_proj.bias
heads/regression/transform/kernel               transposed  classifier.dense.weight
heads/regression/transform/bias                 same        classifier.dense.bias
heads/regression/out/kernel                     transposed  classifier.out_proj.weight
heads/regression/out/bias                       same        classifier.out_proj.bias
heads/span/out/kernel                           transposed  qa_outputs.weight
heads/span/out/bias                             same        qa_outputs.bias
""")  # noqa: E501
_FAMILY = encoders.Family(
    name="Roberta",
    prefix="roberta.",
    heads=(
        ("lm_head.", HeadConfig(transform="gelu_erf")),
        ("classifier.", HeadConfig(kind=HeadKind.CLASSES, transform="tanh")),
        ("qa_outputs.", HeadConfig(kind=HeadKind.SPAN)),
    ),
    special=SpecialTokens(padding=1, start=0, end=2, unknown=3),
    positions=Learned(unused=2),
    defaults={"epsilon": 1e-12},
)

ROBERTA = Format(
    name="RoBERTa",
    model_types=("roberta",),
    model_class="RobertaModel",
    scope=f"{encoders.SCOPE}, 2 unused positions, and heads of masked tokens, classes or a "
    "number by a dense layer with tanh, or spans",
    read_config=functools.partial(encoders.read, _FAMILY),
    write_config=functools.partial(encoders.write, _FAMILY),
    names=_NAMES,
    copies={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    prefix=_FAMILY.prefix,
    constants=r"(roberta\.)?embeddings\.(position_ids|token_type_ids)",
)
