"""BERT (Devlin et al. 2019) at Hugging Face. Old files call a norm's tensors gamma and beta."""

import functools

from t5x_lite.checkpoints.formats import encoders
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig

_NAMES = parse("""
token_embedder/embedding                        same        bert.embeddings.word_embeddings.weight
encoder/position_embedder/embedding             same        bert.embeddings.position_embeddings.weight
encoder/type_embedder/embedding                 same        bert.embeddings.token_type_embeddings.weight
encoder/input_norm/scale                        same        bert.embeddings.LayerNorm.weight
encoder/input_norm/bias                         same        bert.embeddings.LayerNorm.bias
encoder/layers/attention/query/kernel           transposed  bert.encoder.layer.{i}.attention.self.query.weight
encoder/layers/attention/query/bias             same        bert.encoder.layer.{i}.attention.self.query.bias
encoder/layers/attention/key/kernel             transposed  bert.encoder.layer.{i}.attention.self.key.weight
encoder/layers/attention/key/bias               same        bert.encoder.layer.{i}.attention.self.key.bias
encoder/layers/attention/value/kernel           transposed  bert.encoder.layer.{i}.attention.self.value.weight
encoder/layers/attention/value/bias             same        bert.encoder.layer.{i}.attention.self.value.bias
encoder/layers/attention/out/kernel             transposed  bert.encoder.layer.{i}.attention.output.dense.weight
encoder/layers/attention/out/bias               same        bert.encoder.layer.{i}.attention.output.dense.bias
encoder/layers/post_attention_layer_norm/scale  same        bert.encoder.layer.{i}.attention.output.LayerNorm.weight
encoder/layers/post_attention_layer_norm/bias   same        bert.encoder.layer.{i}.attention.output.LayerNorm.bias
encoder/layers/mlp/wi/kernel                    transposed  bert.encoder.layer.{i}.intermediate.dense.weight
encoder/layers/mlp/wi/bias                      same        bert.encoder.layer.{i}.intermediate.dense.bias
encoder/layers/mlp/wo/kernel                    transposed  bert.encoder.layer.{i}.output.dense.weight
encoder/layers/mlp/wo/bias                      same        bert.encoder.layer.{i}.output.dense.bias
encoder/layers/post_mlp_layer_norm/scale        same        bert.encoder.layer.{i}.output.LayerNorm.weight
encoder/layers/post_mlp_layer_norm/bias         same        bert.encoder.layer.{i}.output.LayerNorm.bias
pooler/dense/kernel                             transposed  bert.pooler.dense.weight
pooler/dense/bias                               same        bert.pooler.dense.bias
heads/tokens/transform/kernel                   transposed  cls.predictions.transform.dense.weight
heads/tokens/transform/bias                     same        cls.predictions.transform.dense.bias
heads/tokens/norm/scale                         same        cls.predictions.transform.LayerNorm.weight
heads/tokens/norm/bias                          same        cls.predictions.transform.LayerNorm.bias
heads/tokens/bias                               same        cls.predictions.bias
heads/sentence/out/kernel                       transposed  cls.seq_relationship.weight
heads/sentence/out/bias                         same        cls.seq_relationship.bias
heads/classes/out/kernel                        transposed  classifier.weight
heads/classes/out/bias                          same        classifier.bias
heads/regression/out/kernel                     transposed  classifier.weight
heads/regression/out/bias                       same        classifier.bias
heads/span/out/kernel                           transposed  qa_outputs.weight
heads/span/out/bias                             same        qa_outputs.bias
""")  # noqa: E501
_FAMILY = encoders.Family(
    name="Bert",
    prefix="bert.",
    heads=(
        ("cls.predictions.", HeadConfig()),
        ("cls.seq_relationship.", HeadConfig(kind=HeadKind.SENTENCE, pooled=True)),
        ("classifier.", HeadConfig(kind=HeadKind.CLASSES, pooled=True)),
        ("qa_outputs.", HeadConfig(kind=HeadKind.SPAN)),
    ),
    of_layers=(HeadKind.TOKENS,),
    special=SpecialTokens(padding=0, start=101, end=102, unknown=100),
)

BERT = Format(
    name="BERT",
    model_types=("bert",),
    model_class="BertModel",
    scope=f"{encoders.SCOPE}, a pooler, and heads of masked tokens, sentences, classes, a number "
    "or spans",
    read_config=functools.partial(encoders.read, _FAMILY),
    write_config=functools.partial(encoders.write, _FAMILY),
    names=_NAMES,
    copies={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    prefix=_FAMILY.prefix,
    constants=r"(bert\.)?embeddings\.(position_ids|token_type_ids)",
    formerly={".gamma": ".weight", ".beta": ".bias"},
)
