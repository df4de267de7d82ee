"""T5 of transformers with PyTorch, of our sizes and with random weights, on one card."""

import resource

import torch
import transformers

from benchmarks.speed import vocabulary
from t5x_lite.model.config import ModelConfig

__all__ = ["card", "device", "make", "peak_bytes", "wait"]

_KILOBYTE = 1024


def device() -> torch.device:
    """The card, if PyTorch sees one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def card() -> str:
    """As PyTorch calls it."""
    return torch.cuda.get_device_name() if device().type == "cuda" else "cpu"


def wait() -> None:
    """Until the card has done all that it was given."""
    if device().type == "cuda":
        torch.cuda.synchronize()


def peak_bytes() -> int:
    """The most that was taken at a time; of a CPU what the process has taken."""
    if device().type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE


def make(model: ModelConfig) -> transformers.PreTrainedModel:
    """Float32, with a head of its own that never writes an end token (benchmarks/speed/models.py);
    `scaled_dot_product_attention` where this transformers has it for T5, else as it is written.
    """
    config = _config_of(model)
    with device():
        try:
            made = _from(config, "sdpa")
        except (ValueError, ImportError):
            made = _from(config, "eager")
    _give_own_head(made)
    return made


def _from(config: transformers.T5Config, attention: str) -> transformers.PreTrainedModel:
    return transformers.AutoModelForSeq2SeqLM.from_config(config, attn_implementation=attention)


def _config_of(model: ModelConfig) -> transformers.T5Config:
    encoder, decoder = model.stacks["encoder"], model.stacks["decoder"]
    block = decoder.block
    return transformers.T5Config(
        vocab_size=model.vocab_size,
        d_model=model.embed_dim,
        d_kv=block.attention.head_dim,
        d_ff=block.mlp.mlp_dim,
        num_layers=encoder.depth,
        num_decoder_layers=decoder.depth,
        num_heads=block.attention.num_heads,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )


@torch.no_grad()
def _give_own_head(made: transformers.PreTrainedModel) -> None:
    """The head of a v1.1 that transformers 5 makes itself is tied, whatever it is told."""
    # An embedding of deviation 1 would make logits as large as the model is wide.
    kernel = made.lm_head.weight.detach() * made.config.d_model**-0.5
    ordinary = vocabulary.ordinary(kernel.shape[0])
    kernel[: ordinary.start] = kernel[ordinary.stop :] = 0.0
    made.lm_head.weight = torch.nn.Parameter(kernel)
    assert made.lm_head.weight is not made.shared.weight, "the head is tied to the embedding"
