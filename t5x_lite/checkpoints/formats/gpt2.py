"""GPT-2 at Hugging Face. Its Conv1D keeps kernels as we do, [in, out], query, key and value joined.

The file of the model with its head calls all tensors transformer.*, that of the bare model does
not; OpenAI's are of the latter kind, and hold constants of the causal mask.
"""

from collections.abc import Collection
from typing import Any

from t5x_lite.bounds import MAX_LAYERS, MAX_LENGTH, MAX_VOCABULARY, MAX_WIDTH
from t5x_lite.checkpoints.formats import fields
from t5x_lite.checkpoints.formats.fields import Values
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import parse
from t5x_lite.errors import UserError
from t5x_lite.features.config import PromptConfig, SpecialTokens
from t5x_lite.model.choices import InitScheme, NormKind, Visibility
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    InitConfig,
    LearnedPositionsConfig,
    MLPConfig,
    ModelConfig,
    NormConfig,
    StackConfig,
)

_NAMES = parse("""
token_embedder/embedding                              same         transformer.wte.weight
decoder/position_embedder/embedding                   same         transformer.wpe.weight
decoder/layers/pre_self_attention_layer_norm/scale    same         transformer.h.{i}.ln_1.weight
decoder/layers/pre_self_attention_layer_norm/bias     same         transformer.h.{i}.ln_1.bias
decoder/layers/self_attention/query/kernel            columns:0/3  transformer.h.{i}.attn.c_attn.weight
decoder/layers/self_attention/query/bias              columns:0/3  transformer.h.{i}.attn.c_attn.bias
decoder/layers/self_attention/key/kernel              columns:1/3  transformer.h.{i}.attn.c_attn.weight
decoder/layers/self_attention/key/bias                columns:1/3  transformer.h.{i}.attn.c_attn.bias
decoder/layers/self_attention/value/kernel            columns:2/3  transformer.h.{i}.attn.c_attn.weight
decoder/layers/self_attention/value/bias              columns:2/3  transformer.h.{i}.attn.c_attn.bias
decoder/layers/self_attention/out/kernel              same         transformer.h.{i}.attn.c_proj.weight
decoder/layers/self_attention/out/bias                same         transformer.h.{i}.attn.c_proj.bias
decoder/layers/pre_mlp_layer_norm/scale               same         transformer.h.{i}.ln_2.weight
decoder/layers/pre_mlp_layer_norm/bias                same         transformer.h.{i}.ln_2.bias
decoder/layers/mlp/wi/kernel                          same         transformer.h.{i}.mlp.c_fc.weight
decoder/layers/mlp/wi/bias                            same         transformer.h.{i}.mlp.c_fc.bias
decoder/layers/mlp/wo/kernel                          same         transformer.h.{i}.mlp.c_proj.weight
decoder/layers/mlp/wo/bias                            same         transformer.h.{i}.mlp.c_proj.bias
decoder/decoder_norm/scale                            same         transformer.ln_f.weight
decoder/decoder_norm/bias                             same         transformer.ln_f.bias
decoder/logits_dense/kernel                           transposed   lm_head.weight
""")  # noqa: E501
_ACTIVATIONS = {"gelu_new": ("gelu",), "relu": ("relu",), "silu": ("silu",)}
_NEEDED = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
_SIZES = {
    **dict.fromkeys(_NEEDED, MAX_WIDTH),
    "vocab_size": MAX_VOCABULARY,
    "n_positions": MAX_LENGTH,
    "n_layer": MAX_LAYERS,
    "n_inner": MAX_WIDTH,
}
_SWITCHES = ("scale_attn_weights", "tie_word_embeddings")
# One rate here; GPT-2 has the same for all three.
_RATES = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
_FIXED = {"scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
_END = 50_256


def _read(values: Values, tensor_names: Collection[str]) -> ModelConfig:
    """Old files leave out most fields; the defaults are part of the format."""
    fields.check_present(values, _NEEDED)
    fields.check_sizes(values, _SIZES)
    fields.check_switches(values, _SWITCHES)
    fields.check_rates(values, _RATES)
    fields.check_fixed(values, _FIXED, "GPT-2")
    activations = fields.choice(values, "activation_function", "gelu_new", _ACTIVATIONS)
    start, end = (fields.token(values, f"{name}_token_id", _END) for name in ("bos", "eos"))
    return ModelConfig(
        vocab_size=values["vocab_size"],
        embed_dim=values["n_embd"],
        decoder=_stack(values, activations),
        logits_via_embedding=values.get("tie_word_embeddings", True),
        scale_logits=False,
        dropout_rate=values.get(_RATES[0], 0.1),
        dropout_shared_along_length=False,
        special=SpecialTokens(padding=end, start=start, end=end, unknown=None),
        prompts=PromptConfig(start_token=False, end_token=False),
        init=InitConfig(
            scheme=InitScheme.NORMAL, stddev=fields.positive(values, "initializer_range", 0.02)
        ),
    )


def _stack(values: Values, activations: tuple[str, ...]) -> StackConfig:
    head_dim, rest = divmod(values["n_embd"], values["n_head"])
    if rest:
        raise UserError(
            f"config.json has n_embd={values['n_embd']} and n_head={values['n_head']}; needed is a "
            "width that divides over the heads."
        )
    return StackConfig(
        num_layers=values["n_layer"],
        visibility=Visibility.CAUSAL,
        block=BlockConfig(
            attention=AttentionConfig(
                num_heads=values["n_head"],
                head_dim=head_dim,
                bias=True,
                scale=values.get("scale_attn_weights", True),
            ),
            mlp=MLPConfig(
                mlp_dim=values.get("n_inner") or 4 * values["n_embd"],
                activations=activations,
                bias=True,
            ),
            norm=NormConfig(
                kind=NormKind.LAYER, epsilon=fields.positive(values, "layer_norm_epsilon", 1e-5)
            ),
        ),
        positions=LearnedPositionsConfig(max_length=values["n_positions"]),
    )


def _write(config: ModelConfig) -> dict[str, Any] | None:
    """Of what has learned positions and no encoder; all else is said or found to be lost."""
    decoder, block = config.decoder, config.block
    names: dict[tuple[str, ...], str] = {value: name for name, value in _ACTIVATIONS.items()}
    heads = block.attention.num_heads
    is_near = (
        config.encoder is None
        and decoder is not None
        and decoder.max_length is not None
        and block.mlp.activations in names
        and heads * block.attention.head_dim == config.embed_dim
    )
    if decoder is None or not is_near:
        return None
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocab_size,
        "n_positions": decoder.max_length,
        "n_ctx": decoder.max_length,  # transformers 3 sizes its mask by it
        "n_embd": config.embed_dim,
        "n_layer": decoder.depth,
        "n_head": heads,
        "n_inner": block.mlp.mlp_dim,
        "activation_function": names[block.mlp.activations],
        "layer_norm_epsilon": block.norm.epsilon,
        "initializer_range": config.init.stddev,
        "scale_attn_weights": block.attention.scale,
        "tie_word_embeddings": config.logits_via_embedding,
        "bos_token_id": config.special.start,
        "eos_token_id": config.special.end,
        **dict.fromkeys(_RATES, config.dropout_rate),
        **_FIXED,
    }


GPT2 = Format(
    name="GPT-2",
    model_types=("gpt2",),
    model_class="GPT2LMHeadModel",
    scope="a causal decoder alone, with learned positions, layer norms, biases everywhere, heads "
    f"that fill its width, no window, one of {', '.join(_ACTIVATIONS)}, and unscaled logits",
    read_config=_read,
    write_config=_write,
    names=_NAMES,
    copies={"lm_head.weight": "transformer.wte.weight"},
    prefix="transformer.",
    constants=r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias",
)
