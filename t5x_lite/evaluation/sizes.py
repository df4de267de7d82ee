"""Models side by side: how large they are, how long they take, and what they are worth.

measured = measure(SizesConfig(paths=("runs/full", "runs/small")))
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from t5x_lite.checkpoints.stored import stored
from t5x_lite.evaluation import latency
from t5x_lite.evaluation.sizes_config import SizesConfig
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import restored
from t5x_lite.inference.engine import Engine
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

if TYPE_CHECKING:
    from t5x_lite.evaluation.sizes_quality import JobOf, Quality


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model; seconds are of each round, by the size of the batch."""

    path: str
    layout: Layout
    num_parameters: int
    num_nonzero: int
    num_bytes: int
    dtypes: tuple[str, ...]
    seconds: Mapping[int, Float[np.ndarray, " rounds"]]
    quality: Sequence["Quality"] = ()

    def milliseconds(self, batch_size: int) -> tuple[float, float, float]:
        """The median, and between what half of the rounds lie."""
        found = np.percentile(1000 * self.seconds[batch_size], [50, 25, 75])
        return float(found[0]), float(found[1]), float(found[2])


def measure(config: SizesConfig, job_of: "JobOf | None" = None) -> list[Measured]:
    """Every model in the order given; all of them are held at once.

    Args:
        job_of: what quality is measured by; without it nothing is.

    Raises:
        FileNotFoundError, ValueError: a path is no checkpoint, or it is damaged.
        UserError: a model has learned too few positions; or what evaluation raises.
    """
    for path in config.paths:
        restored.describe((path,), None)  # a wrong one is said at once
    quality = _qualities(config.paths, job_of)
    engines = [_engine(path) for path in config.paths]
    seconds = {size: _seconds(engines, config, size) for size in config.batch_sizes}
    return [
        _measured(path, engine, {size: rows[place] for size, rows in seconds.items()}, scores)
        for place, (path, engine, scores) in enumerate(zip(config.paths, engines, quality))
    ]


def machine() -> str:
    """What it was measured on."""
    device = jax.devices()[0]
    cores = f" of {os.cpu_count()} cores" if device.platform == "cpu" else ""
    return f"{device.device_kind}{cores}"


def _measured(
    path: str,
    engine: Engine,
    seconds: Mapping[int, Float[np.ndarray, " rounds"]],
    quality: Sequence["Quality"],
) -> Measured:
    (model,), leaves, kept = engine.models.members, jax.tree.leaves(engine.parameters), stored(path)
    return Measured(
        path=path,
        layout=engine.layout,
        num_parameters=transformer.num_parameters(model),
        num_nonzero=sum(int(jnp.count_nonzero(leaf)) for leaf in leaves),
        num_bytes=kept.num_bytes,
        dtypes=kept.dtypes,
        seconds=seconds,
        quality=quality,
    )


def _engine(path: str) -> Engine:
    mesh = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    return restored.describe((path,), None).engine(mesh, first_sentinel=None)


def _seconds(
    engines: Sequence[Engine], config: SizesConfig, batch_size: int
) -> Float[np.ndarray, "calls rounds"]:
    calls = [latency.call_of(engine, config, batch_size) for engine in engines]
    return latency.in_turns(calls, config.rounds)


def _qualities(paths: Sequence[str], job_of: "JobOf | None") -> Sequence[Sequence["Quality"]]:
    if job_of is None:
        return [()] * len(paths)
    # Tasks are read by TensorFlow, which sizes alone do not load.
    from t5x_lite.evaluation import sizes_quality

    return sizes_quality.qualities(paths, job_of)
