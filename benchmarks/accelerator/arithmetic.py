"""From what was measured to shares of what the card can do."""

from collections.abc import Mapping
from typing import Any

from benchmarks.speed import limits
from benchmarks.speed.settings import Settings
from t5x_lite.training.utilization import peak_flops

# GB/s of memory from NVIDIA's data sheets; the first name found in the card's counts.
_NOMINAL_GB = {"H200": 4800.0, "H100 PCIe": 2000.0, "H100 NVL": 3900.0, "H100": 3350.0}

Machine = Mapping[str, Any]


def measured_mfu(flops: float, seconds: float, machine: Machine) -> float:
    """Model FLOPs utilization (`t5x_lite.model.flops`), of the fastest product of the card."""
    return flops / seconds / (machine["peak_gflops"] * 1e9)


def nominal_mfu(flops: float, seconds: float, card: str) -> float | None:
    """The same of what the card's data sheet says; None for a card that is not known."""
    peak = peak_flops(card)
    return None if peak is None else flops / seconds / peak


def nominal_gigabytes(card: str) -> float | None:
    """GB/s of its memory by the data sheet; None for a card that is not known."""
    return next((speed for name, speed in _NOMINAL_GB.items() if name in card), None)


def of_the_limit(line: Mapping[str, Any], seconds: float, machine: Machine) -> float:
    """The least time that decoding could take (`benchmarks.speed.limits`), by the time it took.

    Args:
        line: of a result; its bytes of a number are what lay in memory.
    """
    options, found = line["options"], line["found"]
    shape = {name: options[name] for name in ("size", "batch", "inputs", "targets")}
    least = limits.decoding_seconds(
        Settings(**shape), machine, found["weight_bytes"], cache_bytes=found["cache_bytes"]
    )
    return least / seconds
