"""The same by `generate` of transformers: bfloat16, a cache of fixed size, torch.compile."""

from typing import Any

import torch

from benchmarks.accelerator.parts import peer_model
from benchmarks.accelerator.parts.decoding import timed
from benchmarks.accelerator.parts.peer_model import card
from benchmarks.speed.settings import Settings

__all__ = ["card", "measure"]


def measure(
    size: str, batch: int, inputs: int, targets: int, repeats: int, compile: bool = True
) -> dict[str, Any]:
    """As `decoding.measure`."""
    settings = Settings(size=size, batch=batch, inputs=inputs, targets=targets)
    device = peer_model.device()
    model = peer_model.make(settings.model).to(torch.bfloat16).eval()
    how: dict[str, str] = {}
    if compile:
        model.forward = torch.compile(model.forward)
        how = {"cache_implementation": "static"}
    tokens = torch.from_numpy(settings.rows()[0]).long().to(device)
    mask = torch.ones_like(tokens)

    @torch.inference_mode()
    def generate() -> int:
        found = model.generate(
            tokens, attention_mask=mask, max_new_tokens=targets, do_sample=False, **how
        )
        return found[:, 1:].cpu().numel()  # without the start token

    return {
        **timed(generate, batch * targets, repeats),
        "weight_bytes": model.lm_head.weight.element_size(),
        "cache_bytes": model.lm_head.weight.element_size(),
        "peak_bytes": peer_model.peak_bytes(),
        "attention": model.config._attn_implementation,
        "compiled": compile,
    }
