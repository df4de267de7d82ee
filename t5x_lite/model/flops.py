"""What a model costs in theory: multiplications and additions of its matrix products.

Attention is counted whole, as dense attention computes it: masked positions cost what others do,
but those outside of a window nothing, however it is computed. Recomputation
(remat) does not count, as usual for model FLOPs utilization (Chowdhery et al. 2022, appendix B).
"""

import dataclasses
from collections.abc import Iterator, Mapping

from t5x_lite.model.choices import HeadKind, Visibility
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    ModelConfig,
    RecurrenceConfig,
    StackConfig,
)
from t5x_lite.model.replacement import generator_of

# The backward pass needs two products for each of the forward pass.
TRAINING_FACTOR = 3


def training_flops(
    model: ModelConfig, shapes: Mapping[str, tuple[int, ...]], *, passes: int = 1
) -> float:
    """FLOPs of one optimizer step, parameter updates and frozen parameters not regarded.

    Args:
        shapes: feature name -> (rows, length) of a global batch: <stack>_input_tokens of each
            stack, and encoder_order if an encoder of two streams runs both.
        passes: how often a decoder beside an encoder reads the batch (the loss's `decoder_passes`).
    """
    rows, _ = shapes[f"{model.top_name}_input_tokens"]
    streams = 2 if "encoder_order" in shapes else 1
    encoded, length = (
        shapes[f"{stack}_input_tokens"][1] if stack in model.stacks else 0
        for stack in ("encoder", "decoder")
    )
    once = forward_flops(model, rows, encoded, length, streams=streams)
    if passes == 1:
        return float(TRAINING_FACTOR * once)
    decoded = once - forward_flops(model, rows, encoded, 0)
    return float(TRAINING_FACTOR * (once + (passes - 1) * decoded))


def forward_flops(
    model: ModelConfig, rows: int, encoder_length: int, decoder_length: int, *, streams: int = 1
) -> int:
    """FLOPs of what all heads tell of every position of the decoder, or of an encoder alone, and of
    the generator beside it.

    Args:
        streams: that run through an encoder of two.
    """
    if model.recurrence is not None:
        return _in_windows(model, model.recurrence, rows, decoder_length)
    generator = generator_of(model)
    before = 0 if generator is None else forward_flops(generator, rows, encoder_length, 0)
    lengths = {"encoder": encoder_length, "decoder": decoder_length}
    stacks = 0
    for name, stack in model.stacks.items():
        encoded = encoder_length if name == "decoder" else 0
        both = streams if stack.two_streams else 1
        stacks += _stack(model, stack, rows, lengths[name], encoded, both)
    return before + stacks + 2 * rows * lengths[model.top_name] * sum(_heads(model))


def _in_windows(model: ModelConfig, config: RecurrenceConfig, rows: int, length: int) -> int:
    """Of windows that are read one after the other, the last filled up, and of their memories: the
    network that makes them, and what queries of every layer, which is one program, make of them.
    """
    assert model.decoder is not None, "what reads in windows is a decoder"
    count, attention = config.num_windows(length), model.decoder.block.attention
    window = config.window if count > 1 else length
    plain = dataclasses.replace(model, recurrence=None)
    read = forward_flops(plain, rows * count, 0, window)
    if not config.num_memories:
        return read
    joined_kv = attention.num_heads * attention.head_dim
    outputs = 2 * config.num_memories * joined_kv
    made = 2 * config.mlp_dim * (model.embed_dim + outputs) * rows * count
    seen = _mixing(attention, rows * count, window, config.num_memories) * model.decoder.depth
    return read + made + seen


def _heads(model: ModelConfig) -> Iterator[int]:
    """Sizes of the kernels on top."""
    if model.pooler:
        yield model.embed_dim**2
    for head in model.heads:
        if head.kind is HeadKind.TOKENS:
            yield model.token_width * model.vocab_size
            yield model.embed_dim * model.token_width if head.transform is not None else 0
        else:
            yield model.embed_dim * head.num_outputs
            yield model.embed_dim**2 if head.transform is not None else 0


def _stack(
    model: ModelConfig, stack: StackConfig, rows: int, length: int, encoded: int, streams: int
) -> int:
    block, queries = stack.block, streams * length
    kernels = len(block.mlp.activations) + 1
    layer = 2 * rows * queries * model.embed_dim * block.mlp.mlp_dim * kernels
    layer += _attention(model.embed_dim, block.attention, rows, queries, length)
    if stack.relative_keys is not None:
        layer += _distances(model.embed_dim, stack, rows, queries, length)
    if block.cross_attention:
        layer += _attention(model.embed_dim, block.attention, rows, length, encoded)
    if block.adapter_dim is not None:
        layer += 2 * rows * queries * model.embed_dim * block.adapter_dim * 2
    if block.lora is not None:
        layer += _lora(model.embed_dim, block, rows, length, encoded)
    unseen = _mixing(block.attention, rows, queries, length - _in_window(stack, length))
    projected = model.embed_dim * (model.token_dim or 0)
    return stack.depth * layer - stack.num_local * unseen + 2 * rows * queries * projected


def _distances(embed_dim: int, stack: StackConfig, rows: int, queries: int, length: int) -> int:
    """Keys of all distances, once for all rows, and what queries make of them and of types."""
    attention, config = stack.block.attention, stack.relative_keys
    assert config is not None, "asked of a stack that has them"
    met = rows * queries * (2 * length + (2 if config.types else 0))
    return 2 * (2 * length * embed_dim + met) * attention.num_heads * attention.head_dim


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
