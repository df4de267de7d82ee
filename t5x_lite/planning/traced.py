"""What a training step computes, traced once for all meshes, batches and widths.

The model is traced with widths, depths and rows that are prime numbers of no other meaning, so
that a dimension of any array tells its logical axes: 1,051 x 1,049 is a kernel of embed x mlp.
Lengths are the job's own, for they decide how attention is computed.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.extend import core

from t5x_lite.model.config import ModelConfig, StackConfig
from t5x_lite.partitioning.config import STANDARD_LOGICAL_AXIS_RULES, PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.planning import programs
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import make_factory
from t5x_lite.training.step import make_gradients

# Above every length that is not a multiple of them in practice; in the order of `_AXES`.
_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049)
_AXES = ("batch", "vocab", "mlp", "heads", "head_dim", "embed", "encoder layers", "decoder layers")
_LAYERS = _AXES[-2:]
PRIME_OF = dict(zip(_AXES, _PRIMES, strict=True))
# A mesh on which each logical axis has one of its own, so that constraints say which these are.
_NAMES = tuple(dict.fromkeys(axis for axis, _ in STANDARD_LOGICAL_AXIS_RULES))
_LOGICAL = PartitioningConfig(
    mesh_axes=tuple((name, 1) for name in _NAMES),
    logical_axis_rules=tuple((name, name) for name in _NAMES),
)
# Called where they stand: their insides are read as if written there.
_CALLS = {
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
}


@dataclasses.dataclass(frozen=True)
class Dim:
    """A dimension: logical axes that it joins, and what is left of its size."""

    axes: tuple[str, ...]
    rest: int


@dataclasses.dataclass(frozen=True)
class Value:
    """An array; `placed` are the logical axes that a constraint gave it, if one did."""

    dims: tuple[Dim, ...]
    itemsize: int
    placed: tuple[str | None, ...] | None = None

    @property
    def has_rows(self) -> bool:
        """Whether it is made of examples: an activation."""
        return self.has("batch")

    def has(self, axis: str) -> bool:
        """Whether a dimension is of this axis."""
        return any(axis in dim.axes for dim in self.dims)

    @property
    def layers(self) -> str | None:
        """The stack of which it has all layers."""
        return next((each for dim in self.dims for each in dim.axes if each in _LAYERS), None)


@dataclasses.dataclass(frozen=True)
class Op:
    """An operation; a loop has a body, whose trips are a dimension. Values are indices.

    Of a matrix product `contracted` are the dimensions of both operands that it sums over, `paired`
    those that both have.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    contracted: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    paired: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    body: "Program | None" = None
    trips: Dim = Dim((), 1)


@dataclasses.dataclass(frozen=True)
class Program:
    """Operations in order, without those whose results nobody reads."""

    values: Sequence[Value]
    inputs: tuple[int, ...]
    ops: tuple[Op, ...]
    outputs: tuple[int, ...]


def trace(job: TrainConfig, device: jax.Device) -> Program:
    """Loss and gradients of one microbatch as a job computes them on such a device."""
    model = _primed(job.model)
    dataset = dataclasses.replace(job.dataset, batch_size=PRIME_OF["batch"], batch_ramp=None)
    job = dataclasses.replace(job, model=model, dataset=dataset, num_microbatches=1)
    states = make_factory(job, make_partitioner(_LOGICAL, [device]))
    batch = programs.abstract_batch(job, states, programs.batch_shapes(job, dataset))
    gradients = make_gradients(states, job.loss, seed=0)
    traced = jax.make_jaxpr(gradients)(states.abstract, states.abstract_frozen, batch)
    return _program(traced.jaxpr)


def _primed(model: ModelConfig) -> ModelConfig:
    """The model with sizes that tell what they are of."""

    def of_stack(stack: StackConfig, layers: str) -> StackConfig:
        attention = dataclasses.replace(
            stack.block.attention,
            num_heads=PRIME_OF["heads"],
            head_dim=PRIME_OF["head_dim"],
        )
        mlp = dataclasses.replace(stack.block.mlp, mlp_dim=PRIME_OF["mlp"])
        block = dataclasses.replace(stack.block, attention=attention, mlp=mlp)
        return dataclasses.replace(
            stack, block=block, num_layers=PRIME_OF[layers], layers_divisor=1
        )

    # Stacks that share weights have one depth.
    own = model.sharing is type(model.sharing).NONE
    primed = model.with_stacks(
        lambda name, stack: of_stack(stack, f"{name if own else 'decoder'} layers")
    )
    return dataclasses.replace(
        primed,
        vocab_size=PRIME_OF["vocab"],
        embed_dim=PRIME_OF["embed"],
        # All logits at once: in chunks they would not tell what they are.
        compute=dataclasses.replace(model.compute, logits_bytes=2**62),
    )


def dim_of(size: int) -> Dim:
    """What a dimension of the traced program is of."""
    axes = []
    for axis, prime in PRIME_OF.items():
        while size and size % prime == 0:
            axes.append(axis)
            size //= prime
    return Dim(tuple(axes), size)


def _value(aval: Any, placed: tuple[str | None, ...] | None = None) -> Value:
    itemsize = getattr(aval.dtype, "itemsize", 4)  # of a random key
    return Value(tuple(map(dim_of, aval.shape)), itemsize, placed)


def _placed(eqn: Any) -> tuple[str | None, ...] | None:
    if eqn.primitive.name != "sharding_constraint":
        return None
    spec, rank = eqn.params["sharding"].spec, len(eqn.outvars[0].aval.shape)
    return (*spec, *(None for _ in range(rank - len(spec))))


class _Reader:
    """Numbers the values of a program while its calls are written out."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.ops: list[Op] = []

    def new(self, var: Any, placed: tuple[str | None, ...] | None = None) -> int:
        self.values.append(_value(var.aval, placed))
        return len(self.values) - 1

    def read(self, jaxpr: core.Jaxpr, env: dict[Any, int]) -> list[int]:
        def index(atom: Any) -> int:
            if isinstance(atom, core.Literal):
                return self.new(atom)
            return env[atom]

        for var in jaxpr.constvars:
            env[var] = self.new(var)
        for eqn in jaxpr.eqns:
            inputs = [index(atom) for atom in eqn.invars]
            inner = _inner(eqn)
            if inner is not None:
                if eqn.primitive.name == "cond":  # which branch is the first
                    inputs = inputs[1:]
                found = self.read(inner, dict(zip(inner.invars, inputs, strict=True)))
            else:
                found = [self.new(var, _placed(eqn)) for var in eqn.outvars]
                self.ops.append(_op(eqn, inputs, found))
            env.update(zip(eqn.outvars, found, strict=True))
        return [index(atom) for atom in jaxpr.outvars]


def _inner(eqn: Any) -> core.Jaxpr | None:
    if eqn.primitive.name == "cond":
        return max((branch.jaxpr for branch in eqn.params["branches"]), key=_trips)
    found = eqn.params.get(_CALLS.get(eqn.primitive.name, ""))
    return getattr(found, "jaxpr", found)


def _trips(jaxpr: core.Jaxpr) -> int:
    """Of its loops together: what tells a branch with more work from one with less."""
    return sum(eqn.params.get("length", 0) for eqn in jaxpr.eqns)


def _op(eqn: Any, inputs: list[int], outputs: list[int]) -> Op:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
        contracted, paired = params["dimension_numbers"]
        return Op(name, tuple(inputs), tuple(outputs), contracted, paired)
    if name == "scan":
        body, trips = _program(params["jaxpr"].jaxpr), dim_of(params["length"])
        return Op(name, tuple(inputs), tuple(outputs), body=body, trips=trips)
    return Op(name, tuple(inputs), tuple(outputs))


def _program(jaxpr: core.Jaxpr) -> Program:
    reader = _Reader()
    inputs = {var: reader.new(var) for var in jaxpr.invars}
    outputs = reader.read(jaxpr, dict(inputs))
    return Program(
        reader.values, tuple(inputs.values()), _read_ops(reader.ops, outputs), tuple(outputs)
    )


def _read_ops(ops: Sequence[Op], outputs: Sequence[int]) -> tuple[Op, ...]:
    wanted, kept = set(outputs), []
    for op in reversed(ops):
        if not wanted.isdisjoint(op.outputs):
            wanted.update(op.inputs)
            kept.append(op)
    return tuple(reversed(kept))


def elements(dims: Sequence[Dim], sizes: Mapping[str, int]) -> int:
    """Numbers in an array of these dimensions, with the real sizes of axes."""
    return math.prod(dim.rest * math.prod(sizes[axis] for axis in dim.axes) for dim in dims)
