"""transformers with PyTorch, in each of its modes: the same parameters, read from our export."""

import enum
from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers.optimization import Adafactor

from benchmarks.speed.arm import Prepared, first_seconds, seconds_of, timed
from benchmarks.speed.settings import Settings

_NO_GRADIENTS = torch.inference_mode()


class Mode(enum.Enum):
    """How attention is computed, and whether torch.compile compiles what surrounds it."""

    EAGER = "eager"
    SDPA = "sdpa"
    COMPILE = "compile"


def train(settings: Settings, *, mode: str) -> Prepared:
    """Forward, backward and Adafactor with T5's settings: ours without the metrics."""
    model = model_of(settings, mode).train()
    optimizer = Adafactor(
        model.parameters(), lr=0.001, scale_parameter=True, relative_step=False, warmup_init=False
    )
    inputs, targets = map(_tensor, settings.rows())
    forward = _compiled(model, mode)

    def step() -> float:
        loss = forward(input_ids=inputs, labels=targets, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    cold, loss = seconds_of(step)
    step()
    return Prepared(timed(step), first_seconds(cold), loss)


def decode(settings: Settings, *, mode: str, beams: int | None = None) -> Prepared:
    """`generate` with a cache; a compiled model needs one of a fixed size."""
    model = model_of(settings, mode)
    how = {}
    if mode is not None and Mode(mode) is Mode.COMPILE:
        model.forward = torch.compile(model.forward)
        how = {"cache_implementation": "static"}
    inputs = _tensor(settings.rows()[0])

    @_NO_GRADIENTS
    def generate() -> list[list[int]]:
        found = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=settings.targets,
            do_sample=False,
            num_beams=beams or 1,
            **how,
        )
        return found[:, 1:].tolist()  # without the start token

    cold, tokens = seconds_of(generate)
    return Prepared(timed(generate), first_seconds(cold), tokens)


def beam(settings: Settings, *, mode: str) -> Prepared:
    """A beam search."""
    return decode(settings, mode=mode, beams=settings.beams)


def score(settings: Settings, *, mode: str) -> Prepared:
    """The log-likelihood of each row of targets."""
    model = model_of(settings, mode)
    inputs, targets = map(_tensor, settings.rows())
    forward = _compiled(model, mode)

    @_NO_GRADIENTS
    def run() -> list[float]:
        logits = forward(input_ids=inputs, labels=targets, use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits.mT, targets, reduction="none")
        return (-losses.sum(dim=1)).tolist()

    cold, log_probs = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), log_probs)


def encode(settings: Settings, *, mode: str) -> Prepared:
    """The mean of the encoder's last states over each row of inputs."""
    encoder = model_of(settings, mode).encoder
    inputs = _tensor(settings.rows()[0])
    forward = _compiled(encoder, mode)

    @_NO_GRADIENTS
    def run() -> list[list[float]]:
        return forward(input_ids=inputs).last_hidden_state.mean(dim=1).tolist()

    cold, means = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), means)


def load(directory: Any, **how: Any) -> transformers.T5ForConditionalGeneration:
    """The model with its own head, which transformers 5 would tie to the embedding if it built the
    model itself; that it does not tie it where both are given is asserted.
    """
    model = transformers.T5ForConditionalGeneration.from_pretrained(directory, **how)
    assert model.lm_head.weight is not model.shared.weight, "the head is tied to the embedding"
    return model.eval()


def model_of(settings: Settings, mode: str) -> transformers.T5ForConditionalGeneration:
    """The model of the arms, as a mode computes attention."""
    torch.set_num_threads(settings.threads)
    attention = "eager" if Mode(mode) is Mode.EAGER else "sdpa"
    model = load(settings.directory, attn_implementation=attention)
    return model


def _compiled(model: torch.nn.Module, mode: str) -> Callable[..., Any]:
    return torch.compile(model) if Mode(mode) is Mode.COMPILE else model


def _tensor(rows: Any) -> torch.Tensor:
    return torch.from_numpy(rows).long()
