"""Names of T5's parameters here (layers one by one) and at Hugging Face: one table, used both ways.

The table holds every family's names; a model says which of them it has. T5 has one position bias
per stack, which Hugging Face keeps in block 0; umT5 has one in every layer.
"""

EMBEDDING = "shared.weight"
HEAD = "lm_head.weight"
# Where transformers stores the embedding again, by version; some files hold only such a copy.
EMBEDDING_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# The released T5 v1.0 files hold a bias that no T5 ever adds: cross-attention has none.
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"

_TABLE = """
token_embedder/embedding                                       shared.weight
encoder/encoder_norm/scale                                     encoder.final_layer_norm.weight
encoder/relpos_bias/rel_embedding                              encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
encoder/layers_{i}/relpos_bias/rel_embedding                   encoder.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight
encoder/layers_{i}/pre_attention_layer_norm/scale              encoder.block.{i}.layer.0.layer_norm.weight
encoder/layers_{i}/attention/query/kernel                      encoder.block.{i}.layer.0.SelfAttention.q.weight
encoder/layers_{i}/attention/key/kernel                        encoder.block.{i}.layer.0.SelfAttention.k.weight
encoder/layers_{i}/attention/value/kernel                      encoder.block.{i}.layer.0.SelfAttention.v.weight
encoder/layers_{i}/attention/out/kernel                        encoder.block.{i}.layer.0.SelfAttention.o.weight
encoder/layers_{i}/pre_mlp_layer_norm/scale                    encoder.block.{i}.layer.1.layer_norm.weight
encoder/layers_{i}/mlp/wi/kernel                               encoder.block.{i}.layer.1.DenseReluDense.wi.weight
encoder/layers_{i}/mlp/wi_0/kernel                             encoder.block.{i}.layer.1.DenseReluDense.wi_0.weight
encoder/layers_{i}/mlp/wi_1/kernel                             encoder.block.{i}.layer.1.DenseReluDense.wi_1.weight
encoder/layers_{i}/mlp/wo/kernel                               encoder.block.{i}.layer.1.DenseReluDense.wo.weight
decoder/decoder_norm/scale                                     decoder.final_layer_norm.weight
decoder/logits_dense/kernel                                    lm_head.weight
decoder/relpos_bias/rel_embedding                              decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
decoder/layers_{i}/relpos_bias/rel_embedding                   decoder.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight
decoder/layers_{i}/pre_self_attention_layer_norm/scale         decoder.block.{i}.layer.0.layer_norm.weight
decoder/layers_{i}/self_attention/query/kernel                 decoder.block.{i}.layer.0.SelfAttention.q.weight
decoder/layers_{i}/self_attention/key/kernel                   decoder.block.{i}.layer.0.SelfAttention.k.weight
decoder/layers_{i}/self_attention/value/kernel                 decoder.block.{i}.layer.0.SelfAttention.v.weight
decoder/layers_{i}/self_attention/out/kernel                   decoder.block.{i}.layer.0.SelfAttention.o.weight
decoder/layers_{i}/pre_cross_attention_layer_norm/scale        decoder.block.{i}.layer.1.layer_norm.weight
decoder/layers_{i}/encoder_decoder_attention/query/kernel      decoder.block.{i}.layer.1.EncDecAttention.q.weight
decoder/layers_{i}/encoder_decoder_attention/key/kernel        decoder.block.{i}.layer.1.EncDecAttention.k.weight
decoder/layers_{i}/encoder_decoder_attention/value/kernel      decoder.block.{i}.layer.1.EncDecAttention.v.weight
decoder/layers_{i}/encoder_decoder_attention/out/kernel        decoder.block.{i}.layer.1.EncDecAttention.o.weight
decoder/layers_{i}/pre_mlp_layer_norm/scale                    decoder.block.{i}.layer.2.layer_norm.weight
decoder/layers_{i}/mlp/wi/kernel                               decoder.block.{i}.layer.2.DenseReluDense.wi.weight
decoder/layers_{i}/mlp/wi_0/kernel                             decoder.block.{i}.layer.2.DenseReluDense.wi_0.weight
decoder/layers_{i}/mlp/wi_1/kernel                             decoder.block.{i}.layer.2.DenseReluDense.wi_1.weight
decoder/layers_{i}/mlp/wo/kernel                               decoder.block.{i}.layer.2.DenseReluDense.wo.weight
"""  # noqa: E501
_NAMES = dict(line.split() for line in _TABLE.strip().splitlines())


def huggingface_name(path: tuple[str, ...]) -> str:
    """Hugging Face's name of our parameter at `path`, such as ("encoder", "layers_3", ...)."""
    layers = [part for part in path if part.startswith("layers_")]
    pattern = "/".join("layers_{i}" if part in layers else part for part in path)
    return _NAMES[pattern].format(i=layers[0].removeprefix("layers_") if layers else "")


def is_transposed(path: tuple[str, ...]) -> bool:
    """Whether theirs is our tensor transposed: kernels and position biases are."""
    return path[-1] in ("kernel", "rel_embedding")
