"""P-4: products of 8 bits, found behind training or trained with (Zafrir et al. 2019)."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.experiments import encoders, pruned
from benchmarks.experiments.experiment import (
    Chart,
    Comparison,
    Experiment,
    Record,
    by_seed,
)
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

if TYPE_CHECKING:
    from t5x_lite.exporting.source import Source

FLOAT, AFTERWARDS, TRAINED = "float32", "rounded afterwards", "trained in 8 bits"
FILE = "compression/int8_training.gin"
BATCHES = 8  # of the training text, that ranges are found on


def dense(lab: Lab, seed: int) -> Run:
    """The run of P-1 that prunes nothing."""
    return pruned.training(lab, pruned.DENSE, seed)


def trained(lab: Lab, seed: int) -> Run:
    """The same run with products of 8 bits."""
    run = dense(lab, seed)
    name, files = f"eight_bits/trained_seed_{seed}", (*run.gin_files, FILE)
    return dataclasses.replace(run, name=name, gin_files=files)


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """The held-out loss of masked tokens, of integers where there are some, and the size."""
    from t5x_lite.exporting import source

    for seed in seeds:
        whole = source.read(str(lab.train(dense(lab, seed))), None)
        of_8_bits = source.read(str(lab.train(trained(lab, seed))), None)
        found = {
            FLOAT: whole,
            AFTERWARDS: calibrated(lab, whole).quantized(),
            TRAINED: of_8_bits.quantized(),
        }
        for arm, each in found.items():
            yield Record(arm, seed, {"loss": loss(lab, each), "megabytes": each.num_bytes / 1e6})


def calibrated(lab: Lab, found: "Source") -> "Source":
    """With the mean of the ranges of the first batches of the training text, a scale for each
    kernel of a layer, as the other arm is trained.
    """
    import jax
    import numpy as np

    from t5x_lite.compression import calibration
    from t5x_lite.model.config import QuantizationConfig
    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner

    model, parameters = calibration.with_products_of_8_bits(
        found.model, found.parameters, QuantizationConfig()
    )
    shown = itertools.islice(_batches(lab, "train"), BATCHES)
    partitioner = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    known = calibration.calibrated(model, parameters, shown, partitioner)
    return dataclasses.replace(found, model=model, parameters=jax.tree.map(np.asarray, known))


def loss(lab: Lab, found: "Source") -> float:
    """Of every masked token of the held-out captions, in nats."""
    import jax

    from t5x_lite.losses.config import LossConfig
    from t5x_lite.losses.table import make_loss
    from t5x_lite.model import transformer

    term = make_loss((LossConfig(z_loss=0.0),))

    @jax.jit
    def sums(parameters: Any, batch: Any) -> Any:
        outputs = transformer.apply(found.model, parameters, batch, wanted=term.wanted)
        return term(outputs, None, batch, training=False)[1]

    parts = [sums(found.parameters, dict(batch)) for batch in _batches(lab, "test")]
    total = {
        name: sum(float(part[name]) for part in parts)
        for name in ("cross_entropy_sum", "weight_sum")
    }
    return total["cross_entropy_sum"] / total["weight_sum"]


def _batches(lab: Lab, split: str) -> Iterator[Any]:
    return encoders.batches(lab, pruned.OBJECTIVE, split, encoders.CAPTIONS)


def _notes(records: Sequence[Record]) -> list[str]:
    level = by_seed(records, FLOAT, "loss")
    parts = []
    for arm in (AFTERWARDS, TRAINED):
        costs = [value - level[seed] for seed, value in by_seed(records, arm, "loss").items()]
        parts.append(f"{arm} {min(costs):+.4f} to {max(costs):+.4f}")
    return [f"Nats above float32 of the same seed: {'; '.join(parts)}."]


EXPERIMENT = Experiment(
    key="P-4",
    title="8 bits behind training, and in it",
    claim=(
        "integers cost little beside float32; a model that was trained with products of 8 bits has "
        "no higher a loss than one that was rounded afterwards"
    ),
    setup=(
        f"P-1's models after {pruned.FIRST_STEPS:,} steps, then {pruned.STEPS:,} more: as they "
        "were, in float32; those, rounded afterwards with ranges that the first "
        f"{BATCHES} batches of the training text show; or with products of 8 bits from the first "
        "of these steps on, on the same batches. A scale for each kernel of a layer, the vectors "
        "of tokens rounded as well. Losses are those that the stored integers give. ALBERT's "
        f"n-grams, 2 layers that share nothing, token vectors of 64, a rate of "
        f"{pruned.LEARNING_RATE}. {encoders.setup(encoders.CAPTIONS)} No other learning rate was "
        "tried."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss of masked tokens, nats"),
    metrics={"loss": "held-out loss, nats", "megabytes": "parameters, MB"},
    comparisons=(
        Comparison(FLOAT, AFTERWARDS, "loss"),
        Comparison(FLOAT, TRAINED, "loss"),
        Comparison(AFTERWARDS, TRAINED, "loss"),
    ),
    notes=_notes,
)
