"""ELECTRA (Clark et al. 2020) at Hugging Face: discriminators, and generators apart."""

import functools

from t5x_lite.checkpoints.formats import encoders
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig

_NAMES = parse("""
token_embedder/embedding                        same        electra.embeddings.word_embeddings.weight
encoder/position_embedder/embedding             same        electra.embeddings.position_embeddings.weight
encoder/type_embedder/embedding                 same        electra.embeddings.token_type_embeddings.weight
encoder/input_norm/scale                        same        electra.embeddings.LayerNorm.weight
encoder/input_norm/bias                         same        electra.embeddings.LayerNorm.bias
encoder/input_projection/kernel                 transposed  electra.embeddings_project.weight
encoder/input_projection/bias                   same        electra.embeddings_project.bias
encoder/layers/attention/query/kernel           transposed  electra.encoder.layer.{i}.attention.self.query.weight
encoder/layers/attention/query/bias             same        electra.encoder.layer.{i}.attention.self.query.bias
encoder/layers/attention/key/kernel             transposed  electra.encoder.layer.{i}.attention.self.key.weight
encoder/layers/attention/key/bias               same        electra.encoder.layer.{i}.attention.self.key.bias
encoder/layers/attention/value/kernel           transposed  electra.encoder.layer.{i}.attention.self.value.weight
encoder/layers/attention/value/bias             same        electra.encoder.layer.{i}.attention.self.value.bias
encoder/layers/attention/out/kernel             transposed  electra.encoder.layer.{i}.attention.output.dense.weight
encoder/layers/attention/out/bias               same        electra.encoder.layer.{i}.attention.output.dense.bias
encoder/layers/post_attention_layer_norm/scale  same        electra.encoder.layer.{i}.attention.output.LayerNorm.weight
encoder/layers/post_attention_layer_norm/bias   same        electra.encoder.layer.{i}.attention.output.LayerNorm.bias
encoder/layers/mlp/wi/kernel                    transposed  electra.encoder.layer.{i}.intermediate.dense.weight
encoder/layers/mlp/wi/bias                      same        electra.encoder.layer.{i}.intermediate.dense.bias
encoder/layers/mlp/wo/kernel                    transposed  electra.encoder.layer.{i}.output.dense.weight
encoder/layers/mlp/wo/bias                      same        electra.encoder.layer.{i}.output.dense.bias
encoder/layers/post_mlp_layer_norm/scale        same        electra.encoder.layer.{i}.output.LayerNorm.weight
encoder/layers/post_mlp_layer_norm/bias         same        electra.encoder.layer.{i}.output.LayerNorm.bias
heads/tokens/transform/kernel                   transposed  generator_predictions.dense.weight
heads/tokens/transform/bias                     same        generator_predictions.dense.bias
heads/tokens/norm/scale                         same        generator_predictions.LayerNorm.weight
heads/tokens/norm/bias                          same        generator_predictions.LayerNorm.bias
heads/tokens/bias                               same        generator_lm_head.bias
heads/replaced/transform/kernel                 transposed  discriminator_predictions.dense.weight
heads/replaced/transform/bias                   same        discriminator_predictions.dense.bias
heads/replaced/out/kernel                       transposed  discriminator_predictions.dense_prediction.weight
heads/replaced/out/bias                         same        discriminator_predictions.dense_prediction.bias
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
    name="Electra",
    prefix="electra.",
    heads=(
        ("generator_", HeadConfig(transform="gelu_erf")),
        ("discriminator_predictions.", HeadConfig(kind=HeadKind.REPLACED)),
        ("classifier.", HeadConfig(kind=HeadKind.CLASSES, transform="gelu_erf")),
        ("qa_outputs.", HeadConfig(kind=HeadKind.SPAN)),
    ),
    of_layers=(HeadKind.REPLACED,),
    special=SpecialTokens(padding=0, start=101, end=102, unknown=100),
    fields={"token_dim": "embedding_size"},
    defaults={"token_dim": 128},
    classes={
        "Model": frozenset(),
        "ForPreTraining": frozenset({HeadKind.REPLACED}),
        "ForMaskedLM": frozenset({HeadKind.TOKENS}),
        "ForSequenceClassification": frozenset({HeadKind.CLASSES}),
        "ForQuestionAnswering": frozenset({HeadKind.SPAN}),
    },
)

ELECTRA = Format(
    name="ELECTRA",
    model_types=("electra",),
    model_class="ElectraModel",
    scope=f"{encoders.SCOPE}, no pooler, and heads of masked or replaced tokens, classes or a "
    "number by a dense layer with gelu, or spans",
    read_config=functools.partial(encoders.read, _FAMILY),
    write_config=functools.partial(encoders.write, _FAMILY),
    names=_NAMES,
    copies={
        "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight",
    },
    prefix=_FAMILY.prefix,
    constants=r"(electra\.)?embeddings\.(position_ids|token_type_ids)",
    formerly={".gamma": ".weight", ".beta": ".bias"},
)
