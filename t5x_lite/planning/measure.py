"""Compiles a program of a job for a topology, and keeps what a plan needs of it."""

import dataclasses
import functools
import time
from collections.abc import Mapping

import jax

from t5x_lite import errors
from t5x_lite.planning import answers, cost, hlo, programs
from t5x_lite.planning.answers import Answers
from t5x_lite.planning.cost import ProgramCost
from t5x_lite.planning.links import Links
from t5x_lite.planning.memory import (
    Memory,
    Shortage,
    StateBytes,
    memory_of,
    on_a_device,
    shortage_of,
    state_bytes,
)
from t5x_lite.planning.mesh_axes import MeshLayout
from t5x_lite.planning.programs import Kind, Shapes
from t5x_lite.planning.schedule import Schedule, Speeds, schedule
from t5x_lite.planning.topologies import Topology
from t5x_lite.training.config import TrainConfig

Job = TrainConfig | Answers


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A program that fits: what the compiler says of its memory, what its text says of its work
    and its time on this topology.
    """

    memory: Memory
    cost: ProgramCost
    schedule: Schedule


@dataclasses.dataclass(frozen=True)
class Measured:
    """A program of a job on a topology, or how much memory it lacks. Counts of bytes and FLOPs are
    those of one device. Plain values throughout, so that another process may have made it.
    """

    kind: Kind
    topology: Topology
    mesh: Mapping[str, int]
    shapes: Shapes
    state: StateBytes
    lower_seconds: float
    compile_seconds: float
    outcome: Compiled | Shortage


def measure(job: Job, topology: Topology, kind: Kind) -> Measured:
    """Lowers, compiles and reads a program; a minute or more for a large model.

    Raises:
        UserError: see `programs` and `answers`.
    """
    if isinstance(job, Answers):
        engine = answers.make_engine(job, topology)
        state = StateBytes(on_a_device(engine.parameters), optimizer=0, gradients=0, checkpoint=0)
        make, mesh = functools.partial(answers.lower, job, engine), engine.partitioner.mesh
    else:
        states = programs.make_states(job, topology)
        state, mesh = state_bytes(job, states), states.partitioner.mesh
        make = functools.partial(programs.lower, job, states, kind)
    began = time.monotonic()
    program = make()
    lowered = time.monotonic()
    outcome: Compiled | Shortage
    try:
        compiled = program.lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        shortage = shortage_of(error) if errors.is_out_of_memory(error) else None
        if shortage is None:
            raise
        outcome, done = shortage, time.monotonic()
    else:
        done = time.monotonic()
        outcome = _read(compiled, topology, mesh)
    return Measured(
        kind=program.kind,
        topology=topology,
        mesh=dict(mesh.shape),
        shapes=program.shapes,
        state=state,
        lower_seconds=lowered - began,
        compile_seconds=done - lowered,
        outcome=outcome,
    )


def _read(compiled: jax.stages.Compiled, topology: Topology, mesh: jax.sharding.Mesh) -> Compiled:
    chip, text = topology.chip, compiled.as_text()
    assert text is not None, "what was compiled here has a text"
    module = hlo.parse(text)
    found = cost.analyse(module, mesh=MeshLayout.of(dict(mesh.shape), topology.slices))
    speeds = Speeds(
        chip.flops / chip.devices,
        chip.hbm_bandwidth / chip.devices,
        chip.pcie_bandwidth / chip.devices,
        Links(topology, mesh.devices, mesh.axis_names).seconds,
    )
    times = schedule(module, found.collectives, speeds)
    return Compiled(memory_of(compiled, chip), found, times)
