"""A step of `t5x_lite train`, on one card."""

import time
from typing import Any

import jax

from benchmarks.accelerator import timing
from benchmarks.accelerator.parts.jax_device import card, device, peak_bytes
from benchmarks.speed.arms import ours
from benchmarks.speed.settings import Settings
from t5x_lite.model.flops import training_flops
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.state import make_factory
from t5x_lite.training.step import make_step_of

__all__ = ["card", "measure"]


def measure(
    size: str, batch: int, inputs: int, targets: int, remat: str, count: int, repeats: int
) -> dict[str, Any]:
    """Seconds of a step, from a batch on the host, in the mean of `count` that follow each other as
    in training: the last one's metrics are waited for.

    Activations are in bfloat16, as they are on accelerators without being asked for.
    """
    settings = Settings(size=size, batch=batch, inputs=inputs, targets=targets)
    job = ours.train_job(settings, REMAT=remat)
    factory = make_factory(job, make_partitioner(job.partitioning, [device()]))
    step = make_step_of(job, factory, initial_step=0)
    state, rows = factory.initialize(job.random_seed), ours.train_batch(settings)
    metrics: dict[str, Any] = {}

    def advance() -> None:
        nonlocal state, metrics
        state, metrics = step(state, factory.partitioner.global_batch(rows))

    def wait() -> Any:
        return jax.device_get(metrics)

    began = time.perf_counter()
    advance()
    first = wait()
    cold = time.perf_counter() - began
    advance()
    wait()
    seconds = timing.windows(advance, wait, count=count, repeats=repeats)
    return {
        **numbers(settings, seconds),
        "first_seconds": cold,
        "loss": float(first["cross_entropy_sum"] / first["weight_sum"]),
        "last_loss": float(metrics["cross_entropy_sum"] / metrics["weight_sum"]),
        "peak_bytes": peak_bytes(),
    }


def numbers(settings: Settings, seconds: list[float]) -> dict[str, Any]:
    """Of steps of all arms alike: seconds of each window, FLOPs of a step, and the best speed."""
    lengths = {"encoder": settings.inputs, "decoder": settings.targets}
    shapes = {f"{stack}_input_tokens": (settings.batch, n) for stack, n in lengths.items()}
    return {
        "seconds": seconds,
        "flops": training_flops(settings.model, shapes),
        "tokens": settings.batch * sum(lengths.values()),
        "tokens_per_second": settings.batch * sum(lengths.values()) / min(seconds),
    }
