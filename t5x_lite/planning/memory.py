"""What lies in a device's memory: exact where shapes tell, by the compiler where only it knows."""

import dataclasses
import math
import re
from typing import Any

import jax
import jax.numpy as jnp

from t5x_lite.planning.chips import Chip
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory

# The compiler's words, of this release and of earlier ones, and its units, which are powers of two.
_SHORTAGES = (
    re.compile(r"\((?P<needed>[\d.]+[KMGT]?)\) exceeds available HBM \((?P<there>[\d.]+[KMGT]?)\)"),
    re.compile(r"Used (?P<needed>[\d.]+[KMGT]?) of (?P<there>[\d.]+[KMGT]?) hbm"),
)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class StateBytes:
    """Bytes of a state on one device, as its shards are, and of the checkpoint that holds it, if
    the job writes one.

    `gradients` is those that train, in float32, as they lie between backward pass and update.
    """

    parameters: int
    optimizer: int
    gradients: int
    checkpoint: int


@dataclasses.dataclass(frozen=True)
class Memory:
    """What the compiler gives a program on one device, in bytes.

    `peak` is the most that lives at a time, `reserved` what a run takes: arguments, results that
    are none of them, temporaries with the gaps between them, and code.
    """

    arguments: int
    temporaries: int
    reserved: int
    peak: int


@dataclasses.dataclass(frozen=True)
class Shortage:
    """A program that the compiler refuses: bytes that it needs, and those that there are."""

    needed: int
    available: int


def state_bytes(job: TrainConfig, states: StateFactory) -> StateBytes:
    """From the shapes and shardings of a state."""
    state = states.abstract
    trainable = states.groups.trainable(state.parameters)
    saved = jnp.dtype(job.checkpoints.dtype.value).itemsize
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.parameters))
    slots = (state.optimizer_state, state.health, state.step)
    return StateBytes(
        parameters=on_a_device(state.parameters),
        optimizer=on_a_device(slots),
        gradients=on_a_device(trainable),
        checkpoint=parameters * saved + sum(map(_num_bytes, jax.tree.leaves(slots))),
    )


def on_a_device(tree: Any) -> int:
    """Bytes of the shards of a tree of abstract arrays."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def memory_of(compiled: jax.stages.Compiled, chip: Chip) -> Memory:
    """What the compiler says of a program."""
    said = compiled.memory_analysis()
    assert said is not None, "every backend that plans know analyses memory"
    own_outputs = said.output_size_in_bytes - said.alias_size_in_bytes
    reserved = (
        said.argument_size_in_bytes
        + own_outputs
        + said.temp_size_in_bytes
        + said.generated_code_size_in_bytes
    )
    # That of a TPU counts the memory within the chip too, that of a CPU no temporaries.
    peak = reserved if chip.is_simulated else min(said.peak_memory_in_bytes, reserved)
    return Memory(said.argument_size_in_bytes, said.temp_size_in_bytes, reserved, peak)


def shortage_of(error: Exception) -> Shortage | None:
    """What a compiler's refusal says; None if it is about something else."""
    for pattern in _SHORTAGES:
        if found := pattern.search(str(error)):
            return Shortage(_bytes(found["needed"]), _bytes(found["there"]))
    return None


def _bytes(text: str) -> int:
    unit = _UNITS.get(text[-1])
    return int(float(text)) if unit is None else int(float(text[:-1]) * unit)


def _num_bytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * leaf.dtype.itemsize
