"""Whether the card computes what the CPU does: a tiny model in float32, every product whole."""

import math
from typing import Any

import jax
import numpy as np

from benchmarks.accelerator.parts.jax_device import card, device
from benchmarks.speed.arms import ours
from benchmarks.speed.settings import Settings
from t5x_lite.features.outputs import TOKENS
from t5x_lite.model import transformer
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory, make_factory
from t5x_lite.training.step import make_step_of

__all__ = ["card", "measure"]

# As a share of the largest number. Logits are sums in another order, through all layers; a step of
# Adafactor is as large for a gradient that is nothing but rounding as for any other, so that losses
# go apart a little more with each.
TOLERANCES = {"logits": 1e-4, "first loss": 1e-5, "losses": 1e-3, "gradient norms": 1e-2}


def measure(size: str, batch: int, inputs: int, targets: int, steps: int) -> dict[str, Any]:
    """The largest difference of each kind, with its tolerance; losses are those of each step."""
    settings = Settings(size=size, batch=batch, inputs=inputs, targets=targets)
    job = ours.train_job(settings, ACTIVATION_DTYPE="float32")
    with jax.default_matmul_precision("highest"):
        parameters = _parameters(job)
        expected = _computed(settings, job, parameters, jax.devices("cpu")[0], steps)
        found = _computed(settings, job, parameters, device(), steps)
    checks = {
        name: {"difference": share(found[name], expected[name]), "tolerance": tolerance}
        for name, tolerance in TOLERANCES.items()
    }
    losses = {"cpu": expected["losses"].tolist(), "card": found["losses"].tolist()}
    return {"checks": checks, "losses": losses, "platform": device().platform}


def share(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, beside the largest number; infinite for what is no number."""
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    return error if math.isfinite(error) else math.inf


def _parameters(job: TrainConfig) -> Any:
    """The same for both, in the memory of the host."""
    with jax.default_device(jax.devices("cpu")[0]):
        key = jax.random.key(job.random_seed)
        return jax.device_get(jax.jit(lambda key: transformer.init_parameters(job.model, key))(key))


def _computed(
    settings: Settings, job: TrainConfig, parameters: Any, place: jax.Device, steps: int
) -> dict[str, np.ndarray]:
    factory = make_factory(job, make_partitioner(job.partitioning, [place]))
    batch = factory.partitioner.global_batch(ours.train_batch(settings))
    state = factory.from_parameters(parameters)
    logits = _logits(factory, state.parameters, batch)
    step, losses, norms = make_step_of(job, factory, initial_step=0), [], []
    for _ in range(steps):
        state, metrics = step(state, batch)
        told = jax.device_get(metrics)
        losses.append(told["cross_entropy_sum"] / told["weight_sum"])
        norms.append(next(value for name, value in told.items() if name.endswith(_NORM)))
    return {
        "logits": logits,
        "first loss": np.array(losses[:1]),
        "losses": np.array(losses),
        "gradient norms": np.array(norms),
    }


_NORM = "weight_gradient_norm"


def _logits(factory: StateFactory, parameters: Any, batch: Any) -> np.ndarray:
    def logits(parameters: Any, batch: Any) -> jax.Array:
        with factory.partitioner.activations():
            outputs = transformer.apply(factory.model, parameters, batch)
            return outputs.heads[TOKENS].all()

    return np.asarray(jax.jit(logits)(parameters, batch))
