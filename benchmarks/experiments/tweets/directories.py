"""A Hugging Face directory in place of a pre-training: the sizes of its model, as gin says them."""

import pathlib

from benchmarks.experiments.runs import Settings
from t5x_lite.features.layouts import Layout
from t5x_lite.model.config import LearnedPositionsConfig, ModelConfig


def sizes(directory: pathlib.Path, layout: Layout) -> Settings:
    """Of the model of a directory.

    Raises:
        ValueError: it is a model of another layout than its row needs, or none.
    """
    from t5x_lite.checkpoints import huggingface

    model = huggingface.read_config(directory)
    if model.layout is not layout:
        raise ValueError(
            f"{directory} has a model of the layout {model.layout.value}; its row needs one of "
            f"{layout.value}: --models=..."
        )
    return _of_all(model) | (_of_encoder(model) if model.decoder is None else _of_text(model))


def _of_all(model: ModelConfig) -> dict[str, object]:
    block, special = model.block, model.special
    return {
        "VOCAB_SIZE": model.vocab_size,
        "EMBED_DIM": model.embed_dim,
        "MLP_DIM": block.mlp.mlp_dim,
        "NUM_HEADS": block.attention.num_heads,
        "HEAD_DIM": block.attention.head_dim,
        "NUM_ENCODER_LAYERS": model.encoder.depth if model.encoder else 0,
        "MLPConfig.activations": block.mlp.activations,
        "NormConfig.epsilon": block.norm.epsilon,
        "SpecialTokens.padding": special.padding,
        "SpecialTokens.unknown": special.unknown,
        "SpecialTokens.start": special.start,
        "SpecialTokens.end": special.end,
    }


def _of_encoder(model: ModelConfig) -> dict[str, object]:
    stack = model.encoder
    assert stack is not None, "an encoder by itself"
    learned = {}
    if isinstance(stack.positions, LearnedPositionsConfig):
        learned = {
            "MAX_LENGTH": stack.positions.max_length,
            "UNUSED_POSITIONS": stack.positions.unused,
        }
    return learned | {"TOKEN_TYPES": stack.token_types, "TOKEN_DIM": model.token_dim}


def _of_text(model: ModelConfig) -> dict[str, object]:
    assert model.decoder is not None, "it writes text"
    return {
        "NUM_DECODER_LAYERS": model.decoder.depth,
        "ModelConfig.logits_via_embedding": model.logits_via_embedding,
        "ModelConfig.scale_logits": model.scale_logits,
    }
