"""What a model costs in theory: multiplications and additions of its matrix products.

Attention is counted whole, as dense attention computes it: masked positions cost what others do,
but those outside of a window nothing, however it is computed. Recomputation
(remat) does not count, as usual for model FLOPs utilization (Chowdhery et al. 2022, appendix B).
"""

from collections.abc import Mapping

from t5x_lite.model.choices import Visibility
from t5x_lite.model.config import AttentionConfig, BlockConfig, ModelConfig, StackConfig

# The backward pass needs two products for each of the forward pass.
TRAINING_FACTOR = 3


def training_flops(model: ModelConfig, shapes: Mapping[str, tuple[int, ...]]) -> float:
    """FLOPs of one optimizer step, parameter updates and frozen parameters not regarded.

    Args:
        shapes: feature name -> (rows, length) of a global batch: encoder_input_tokens where there
            is an encoder, decoder_input_tokens.
    """
    rows, length = shapes["decoder_input_tokens"]
    encoded = shapes["encoder_input_tokens"][1] if model.encoder is not None else 0
    return float(TRAINING_FACTOR * forward_flops(model, rows, encoded, length))


def forward_flops(model: ModelConfig, rows: int, encoder_length: int, decoder_length: int) -> int:
    """FLOPs of the logits of every decoder position."""
    decoder = _stack(model, model.decoder, rows, decoder_length, encoder_length)
    encoder = 0
    if model.encoder is not None:
        encoder = _stack(model, model.encoder, rows, encoder_length, 0)
    head = 2 * rows * decoder_length * model.embed_dim * model.vocab_size
    return encoder + decoder + head


def _stack(model: ModelConfig, stack: StackConfig, rows: int, length: int, encoded: int) -> int:
    block = stack.block
    kernels = len(block.mlp.activations) + 1
    layer = 2 * rows * length * model.embed_dim * block.mlp.mlp_dim * kernels
    layer += _attention(model.embed_dim, block.attention, rows, length, length)
    if block.cross_attention:
        layer += _attention(model.embed_dim, block.attention, rows, length, encoded)
    if block.adapter_dim is not None:
        layer += 2 * rows * length * model.embed_dim * block.adapter_dim * 2
    if block.lora is not None:
        layer += _lora(model.embed_dim, block, rows, length, encoded)
    unseen = _mixing(block.attention, rows, length, length - _in_window(stack, length))
    return stack.depth * layer - stack.num_local * unseen


def _lora(embed_dim: int, block: BlockConfig, rows: int, length: int, encoded: int) -> int:
    """Two thin products beside each kernel that is targeted."""
    assert block.lora is not None, "asked of a layer that has it"
    joined_kv = block.attention.num_heads * block.attention.head_dim
    widths = 0
    for name in block.lora.targets:
        if name in ("query", "out"):
            widths += (embed_dim + joined_kv) * length * (2 if block.cross_attention else 1)
        elif name in ("key", "value"):
            widths += (embed_dim + joined_kv) * (length + encoded)
        else:
            widths += (embed_dim + block.mlp.mlp_dim) * length
    return 2 * rows * block.lora.rank * widths


def _in_window(stack: StackConfig, length: int) -> int:
    """Keys of self-attention that a query is counted with in a layer whose window holds."""
    if stack.window is None:
        return length
    sides = 1 if stack.visibility is Visibility.CAUSAL else 2
    return min(length, 1 + sides * (stack.window - 1))


def _attention(
    embed_dim: int, attention: AttentionConfig, rows: int, queries: int, keys: int
) -> int:
    joined_kv = attention.num_heads * attention.head_dim
    projections = 2 * rows * embed_dim * joined_kv * (2 * queries + 2 * keys)
    return projections + _mixing(attention, rows, queries, keys)


def _mixing(attention: AttentionConfig, rows: int, queries: int, keys: int) -> int:
    """Of weights of so many keys of each query, and the mixture of their values."""
    return 2 * 2 * rows * queries * keys * attention.num_heads * attention.head_dim
