"""transformers with PyTorch, in each of its modes: the same parameters, read from our export."""

import enum
from collections.abc import Callable
from typing import Any

import torch
from transformers.optimization import Adafactor

from benchmarks.speed.arm import Prepared, first_seconds, seconds_of, timed
from benchmarks.speed.arms import torch_models
from benchmarks.speed.settings import Settings

_NO_GRADIENTS = torch.inference_mode()


class Mode(enum.Enum):
    """How attention is computed, and whether torch.compile compiles what surrounds it."""

    EAGER = "eager"
    SDPA = "sdpa"
    COMPILE = "compile"


def train(settings: Settings, *, mode: str) -> Prepared:
    """Forward, backward and Adafactor with T5's settings: ours without the metrics."""
    peer = model_of(settings, mode)
    parameters = peer.model.train().parameters()
    optimizer = Adafactor(
        parameters, lr=0.001, scale_parameter=True, relative_step=False, warmup_init=False
    )
    read, predicted = map(_tensor, settings.predicted_rows())
    forward = _compiled(peer.loss, mode)

    def step() -> float:
        loss = forward(read, predicted)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    cold, loss = seconds_of(step)
    step()
    return Prepared(timed(step), first_seconds(cold), loss)


def decode(settings: Settings, *, mode: str, beams: int | None = None) -> Prepared:
    """`generate` with a cache; a compiled model needs one of a fixed size."""
    peer = model_of(settings, mode)
    model, how = peer.model, {}
    if Mode(mode) is Mode.COMPILE:
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
        return peer.written(found, inputs).tolist()

    cold, tokens = seconds_of(generate)
    return Prepared(timed(generate), first_seconds(cold), tokens)


def beam(settings: Settings, *, mode: str) -> Prepared:
    """A beam search."""
    return decode(settings, mode=mode, beams=settings.beams)


def score(settings: Settings, *, mode: str) -> Prepared:
    """The log-likelihood of each row of what is predicted."""
    read, predicted = map(_tensor, settings.predicted_rows())
    forward = _compiled(model_of(settings, mode).logits, mode)

    @_NO_GRADIENTS
    def run() -> list[float]:
        logits = forward(read, predicted).flatten(0, 1)
        losses = torch.nn.functional.cross_entropy(logits, predicted.flatten(), reduction="none")
        return (-losses.view_as(predicted).sum(dim=1)).tolist()

    cold, log_probs = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), log_probs)


def encode(settings: Settings, *, mode: str) -> Prepared:
    """The mean of the encoder's last states over each row of inputs."""
    encoder = model_of(settings, mode).model.encoder
    inputs = _tensor(settings.rows()[0])
    forward = _compiled(encoder, mode)

    @_NO_GRADIENTS
    def run() -> list[list[float]]:
        return forward(input_ids=inputs).last_hidden_state.mean(dim=1).tolist()

    cold, means = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), means)


def model_of(settings: Settings, mode: str) -> torch_models.T5 | torch_models.GPT2:
    """The model of the arms, as a mode computes attention."""
    torch.set_num_threads(settings.threads)
    attention = "eager" if Mode(mode) is Mode.EAGER else "sdpa"
    return torch_models.load(settings, attention=attention)


def _compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    return torch.compile(function) if Mode(mode) is Mode.COMPILE else function


def _tensor(rows: Any) -> torch.Tensor:
    return torch.from_numpy(rows).long()
