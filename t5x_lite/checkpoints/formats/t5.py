"""T5 v1.0, v1.1, Flan, mT5, ByT5 and umT5 at Hugging Face: one table of names, used both ways.

The table holds every family's names; a model says which of them it has. T5 has one position bias
per stack, which Hugging Face keeps in block 0; umT5 has one in every layer.
"""

from t5x_lite.checkpoints.formats import t5_config
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse

_NAMES = parse("""
token_embedder/embedding                               same        shared.weight
encoder/encoder_norm/scale                             same        encoder.final_layer_norm.weight
encoder/relpos_bias/rel_embedding                      transposed  encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
encoder/layers/relpos_bias/rel_embedding               transposed  encoder.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight
encoder/layers/pre_attention_layer_norm/scale          same        encoder.block.{i}.layer.0.layer_norm.weight
encoder/layers/attention/query/kernel                  transposed  encoder.block.{i}.layer.0.SelfAttention.q.weight
encoder/layers/attention/key/kernel                    transposed  encoder.block.{i}.layer.0.SelfAttention.k.weight
encoder/layers/attention/value/kernel                  transposed  encoder.block.{i}.layer.0.SelfAttention.v.weight
encoder/layers/attention/out/kernel                    transposed  encoder.block.{i}.layer.0.SelfAttention.o.weight
encoder/layers/pre_mlp_layer_norm/scale                same        encoder.block.{i}.layer.1.layer_norm.weight
encoder/layers/mlp/wi/kernel                           transposed  encoder.block.{i}.layer.1.DenseReluDense.wi.weight
encoder/layers/mlp/wi_0/kernel                         transposed  encoder.block.{i}.layer.1.DenseReluDense.wi_0.weight
encoder/layers/mlp/wi_1/kernel                         transposed  encoder.block.{i}.layer.1.DenseReluDense.wi_1.weight
encoder/layers/mlp/wo/kernel                           transposed  encoder.block.{i}.layer.1.DenseReluDense.wo.weight
decoder/decoder_norm/scale                             same        decoder.final_layer_norm.weight
decoder/logits_dense/kernel                            transposed  lm_head.weight
decoder/relpos_bias/rel_embedding                      transposed  decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
decoder/layers/relpos_bias/rel_embedding               transposed  decoder.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight
decoder/layers/pre_self_attention_layer_norm/scale     same        decoder.block.{i}.layer.0.layer_norm.weight
decoder/layers/self_attention/query/kernel             transposed  decoder.block.{i}.layer.0.SelfAttention.q.weight
decoder/layers/self_attention/key/kernel               transposed  decoder.block.{i}.layer.0.SelfAttention.k.weight
decoder/layers/self_attention/value/kernel             transposed  decoder.block.{i}.layer.0.SelfAttention.v.weight
decoder/layers/self_attention/out/kernel               transposed  decoder.block.{i}.layer.0.SelfAttention.o.weight
decoder/layers/pre_cross_attention_layer_norm/scale    same        decoder.block.{i}.layer.1.layer_norm.weight
decoder/layers/encoder_decoder_attention/query/kernel  transposed  decoder.block.{i}.layer.1.EncDecAttention.q.weight
decoder/layers/encoder_decoder_attention/key/kernel    transposed  decoder.block.{i}.layer.1.EncDecAttention.k.weight
decoder/layers/encoder_decoder_attention/value/kernel  transposed  decoder.block.{i}.layer.1.EncDecAttention.v.weight
decoder/layers/encoder_decoder_attention/out/kernel    transposed  decoder.block.{i}.layer.1.EncDecAttention.o.weight
decoder/layers/pre_mlp_layer_norm/scale                same        decoder.block.{i}.layer.2.layer_norm.weight
decoder/layers/mlp/wi/kernel                           transposed  decoder.block.{i}.layer.2.DenseReluDense.wi.weight
decoder/layers/mlp/wi_0/kernel                         transposed  decoder.block.{i}.layer.2.DenseReluDense.wi_0.weight
decoder/layers/mlp/wi_1/kernel                         transposed  decoder.block.{i}.layer.2.DenseReluDense.wi_1.weight
decoder/layers/mlp/wo/kernel                           transposed  decoder.block.{i}.layer.2.DenseReluDense.wo.weight
""")  # noqa: E501

T5 = Format(
    name="T5",
    model_types=t5_config.FAMILIES,
    model_class="T5ForConditionalGeneration",
    scope="an encoder with two-sided and a causal decoder with one-sided position buckets, equal "
    f"blocks in both, no window, one of {', '.join(t5_config.ACTIVATIONS)}, no sharing, and a head "
    "tied and scaled or neither",
    read_config=t5_config.read,
    write_config=t5_config.write,
    names=_NAMES,
    # Where transformers stores the embedding again, by version; some files hold only such a copy.
    copies=dict.fromkeys(
        ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", t5_config.HEAD),
        "shared.weight",
    ),
    # The released T5 v1.0 files hold a bias that no T5 ever adds: cross-attention has none.
    unused=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
)
