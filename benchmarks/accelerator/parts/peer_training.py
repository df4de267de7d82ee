"""The same step by transformers with torch.compile: bfloat16 by autocast, and its Adafactor."""

import time
from typing import Any

import torch
from transformers.optimization import Adafactor

from benchmarks.accelerator import timing
from benchmarks.accelerator.parts import peer_model
from benchmarks.accelerator.parts.peer_model import card
from benchmarks.accelerator.parts.training import numbers
from benchmarks.speed.settings import Settings

__all__ = ["card", "measure"]


def measure(
    size: str,
    batch: int,
    inputs: int,
    targets: int,
    remat: str,
    count: int,
    repeats: int,
    compile: bool = True,
) -> dict[str, Any]:
    """As `training.measure`; `remat` "full" is transformers' gradient checkpointing."""
    settings = Settings(size=size, batch=batch, inputs=inputs, targets=targets)
    device, model = peer_model.device(), peer_model.make(settings.model).train()
    if remat == "full":
        model.gradient_checkpointing_enable()
    optimizer = Adafactor(
        model.parameters(), lr=0.001, scale_parameter=True, relative_step=False, warmup_init=False
    )
    forward = torch.compile(model) if compile else model
    rows = [torch.from_numpy(each).long() for each in settings.rows()]
    loss = torch.zeros(())

    def advance() -> None:
        nonlocal loss
        tokens, labels = (each.to(device) for each in rows)
        with torch.autocast(device.type, torch.bfloat16):
            loss = forward(input_ids=tokens, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    began = time.perf_counter()
    advance()
    first = loss.item()
    cold = time.perf_counter() - began
    advance()
    peer_model.wait()
    seconds = timing.windows(advance, peer_model.wait, count=count, repeats=repeats)
    return {
        **numbers(settings, seconds),
        "first_seconds": cold,
        "loss": first,
        "last_loss": loss.item(),
        "peak_bytes": peer_model.peak_bytes(),
        "attention": model.config._attn_implementation,
        "compiled": compile,
    }
