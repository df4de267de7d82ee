"""Hugging Face's config.json <-> ModelConfig, for T5 v1.0, v1.1, Flan, mT5, ByT5 and umT5.

Whether the head is tied to the embedding and whether logits are scaled by embed_dim ** -0.5 are
two questions to us and were one field, `tie_word_embeddings`, to transformers 4: true for v1.0
(tied, scaled), false for v1.1 and all its relatives (separate, unscaled). transformers 5 ignores
the field as an answer to the first question. It always ties, writes `true` into every config.json
it saves, and only when it loads a file whose head differs from the embedding leaves them separate.
The second question it answers per family: T5 by a new field, `scale_decoder_outputs`, mT5 never,
umT5 always. So, of a directory saved by transformers 5:
  the file decides whether the head is separate: a tied one is not stored;
  `scale_decoder_outputs` decides about scaling where it is present; without it a tied head is
  scaled, but not mT5's, and a separate one is not. For umT5 with its separate head this differs
  from transformers 5.23 on purpose: Google trained it unscaled, and transformers 4 ran it so.
"""

from collections.abc import Collection, Mapping
from typing import Any

from t5x_lite.bounds import MAX_LAYERS, MAX_LENGTH, MAX_VOCABULARY, MAX_WIDTH
from t5x_lite.checkpoints.formats import fields
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    MLPConfig,
    ModelConfig,
    RelativeBiasConfig,
    StackConfig,
    Visibility,
)

HEAD = "lm_head.weight"
_DEFAULT_MLP = {"t5": "relu", "mt5": "gated-gelu", "umt5": "gated-gelu"}
FAMILIES = tuple(_DEFAULT_MLP)
# "gated-gelu" is the tanh approximation there (they call it gelu_new), as "gelu" is in T5 and here.
ACTIVATIONS = {
    "relu": ("relu",),
    "gated-gelu": ("gelu", "linear"),
    "gated-silu": ("silu", "linear"),
}
_NEEDED = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")
_SIZES = {
    **dict.fromkeys(_NEEDED, MAX_WIDTH),
    "vocab_size": MAX_VOCABULARY,
    "num_layers": MAX_LAYERS,
    "num_decoder_layers": MAX_LAYERS,
    "relative_attention_num_buckets": MAX_WIDTH,
    "relative_attention_max_distance": MAX_LENGTH,
}
_SWITCHES = ("tie_word_embeddings", "scale_decoder_outputs")
# Built into the model here and into every released T5; a file may leave them out.
_FIXED = {"layer_norm_epsilon": 1e-6, "pad_token_id": 0, "decoder_start_token_id": 0}


def read(values: Mapping[str, Any], tensor_names: Collection[str]) -> ModelConfig:
    """The model that a parsed config.json beside a file with these tensors describes."""
    family = values["model_type"]
    fields.check_present(values, _NEEDED)
    activations = fields.choice(values, "feed_forward_proj", _DEFAULT_MLP[family], ACTIVATIONS)
    fields.check_sizes(values, _SIZES)
    fields.check_switches(values, _SWITCHES)
    fields.check_rates(values, ["dropout_rate"])
    fields.check_fixed(values, _FIXED, "T5")
    tied, scaled = _head(values, tensor_names)
    return _model(
        values,
        num_decoder_layers=values.get("num_decoder_layers") or values["num_layers"],
        activations=activations,
        per_layer=family == "umt5",
        logits_via_embedding=tied,
        scale_logits=scaled,
    )


def write(config: ModelConfig) -> dict[str, Any] | None:
    """The config.json of the T5 that is nearest to a model; None for one that has no
    encoder or no relative positions.
    """
    if config.decoder is None:
        return None
    block, bias = config.decoder.block, config.decoder.relative_bias
    mlp = {activations: name for name, activations in ACTIVATIONS.items()}.get(
        block.mlp.activations
    )
    if config.encoder is None or mlp is None or bias is None:
        return None
    family = "umt5" if bias.per_layer else "t5"
    return {
        "model_type": family,
        "architectures": [f"{family.upper()}ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        "d_model": config.embed_dim,
        "d_kv": block.attention.head_dim,
        "num_heads": block.attention.num_heads,
        "d_ff": block.mlp.mlp_dim,
        "num_layers": config.encoder.depth,
        "num_decoder_layers": config.decoder.depth,
        "feed_forward_proj": mlp,
        "relative_attention_num_buckets": bias.num_buckets,
        "relative_attention_max_distance": bias.max_distance,
        "dropout_rate": config.dropout_rate,
        "tie_word_embeddings": config.logits_via_embedding,
        "eos_token_id": 1,
        **_FIXED,
    }


def _head(values: Mapping[str, Any], tensor_names: Collection[str]) -> tuple[bool, bool]:
    """Whether the head is tied, and whether logits are scaled: the rules of the module's text."""
    version = str(values.get("transformers_version", "0")).split(".")[0]
    by_version_5 = "scale_decoder_outputs" in values or (version.isdecimal() and int(version) >= 5)
    tied = values.get("tie_word_embeddings", True)
    if by_version_5 and HEAD in tensor_names:
        tied = False
    never_scaled = by_version_5 and values["model_type"] == "mt5"
    return tied, values.get("scale_decoder_outputs", tied and not never_scaled)


def _model(
    values: Mapping[str, Any],
    *,
    num_decoder_layers: int,
    activations: tuple[str, ...],
    per_layer: bool,
    logits_via_embedding: bool,
    scale_logits: bool,
) -> ModelConfig:
    def stack(num_layers: int, visibility: Visibility) -> StackConfig:
        is_encoder = visibility is Visibility.FULL
        return StackConfig(
            num_layers=num_layers,
            visibility=visibility,
            block=BlockConfig(
                attention=AttentionConfig(num_heads=values["num_heads"], head_dim=values["d_kv"]),
                mlp=MLPConfig(mlp_dim=values["d_ff"], activations=activations),
                cross_attention=not is_encoder,
            ),
            positions=RelativeBiasConfig(
                num_buckets=values.get("relative_attention_num_buckets") or 32,
                max_distance=values.get("relative_attention_max_distance") or 128,
                bidirectional=is_encoder,
                per_layer=per_layer,
            ),
        )

    return ModelConfig(
        vocab_size=values["vocab_size"],
        embed_dim=values["d_model"],
        encoder=stack(values["num_layers"], Visibility.FULL),
        decoder=stack(num_decoder_layers, Visibility.CAUSAL),
        logits_via_embedding=logits_via_embedding,
        scale_logits=scale_logits,
        dropout_rate=values.get("dropout_rate", 0.1),
    )
