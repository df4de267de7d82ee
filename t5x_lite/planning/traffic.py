"""Bytes that an instruction moves to and from HBM, estimated: operands read once, results written.

What the compiler placed elsewhere (VMEM, the host) is free, slices cost what is read of them and
updates in place what is written. Values inside of a fusion stay on the chip.
"""

import math
from collections.abc import Iterator

from t5x_lite.planning.hlo import Computation, Instruction, Module
from t5x_lite.planning.shapes import HBM, HOST

# They name values, or what they run is counted by itself.
_FREE = frozenset(
    "after-all bitcast call conditional constant get-tuple-element opt-barrier parameter "
    "partition-id recv replica-id send tuple while".split()
)
_FREE_TARGETS = (
    '"AllocateBuffer"',
    '"AssumeGatherIndicesInBound"',
    '"AsyncCollectiveDone"',
    '"ConcatBitcast"',
)
_SLICES = ("dynamic-slice", "gather", "slice")
# What is read through these is read of their operand: a fusion computes no more than is used of it.
_VIEWS = frozenset("bitcast convert copy get-tuple-element pad reshape transpose".split())


def hbm_bytes(instruction: Instruction, computation: Computation, module: Module) -> int:
    """What one execution of an instruction reads and writes; a loop's body is not part of it."""
    opcode = instruction.opcode
    if opcode in _FREE or opcode.endswith(("-done", "-update")):
        return 0
    if opcode == "custom-call" and any(of in instruction.attributes for of in _FREE_TARGETS):
        return 0
    if opcode == "fusion":
        return _fusion(instruction, computation, module)
    written = sum(shape.hbm_size for shape in instruction.shapes)
    if opcode == "slice-start":
        return _slice_start(instruction)
    # The result of a start holds its operands beside what it makes.
    if opcode.endswith("-start") and opcode != "all-reduce-start":
        return written
    if opcode in _SLICES:
        return written + (instruction.shapes[0].size if _in_hbm(computation, instruction, 0) else 0)
    if opcode == "dynamic-update-slice":
        return 2 * _size(computation, instruction.operands[1])
    return written + sum(_size(computation, name) for name in instruction.operands)


def between_memories(instruction: Instruction) -> int:
    """Bytes that a start of a copy moves to or from the host: the smaller of the arrays that it
    names, since of the other it reads or writes a slice.
    """
    if all(shape.memory_space != HOST for shape in instruction.shapes):
        return 0
    return min(shape.size for shape in instruction.shapes if shape.dims)


def _size(computation: Computation, name: str) -> int:
    return sum(shape.hbm_size for shape in computation.shapes(name))


def _in_hbm(computation: Computation, instruction: Instruction, operand: int) -> bool:
    return _size(computation, instruction.operands[operand]) > 0


def _slice_start(instruction: Instruction) -> int:
    """((operand), slice, context): the slice is read where the operand is and written elsewhere."""
    operand, part = instruction.shapes[:2]
    return part.size * ((operand.memory_space == HBM) + (part.memory_space == HBM))


def _fusion(instruction: Instruction, computation: Computation, module: Module) -> int:
    (name,) = instruction.called["calls"]
    inside = module.computations[name]
    return _read(instruction, computation, inside, module) + _written(instruction, inside, module)


def _read(
    instruction: Instruction, computation: Computation, inside: Computation, module: Module
) -> int:
    sizes = ((n, _size(computation, name)) for n, name in enumerate(instruction.operands))
    return sum(
        math.ceil(size * _share_read(inside.parameters[number].name, inside, module))
        for number, size in sizes
        if size
    )


def _share_read(name: str, inside: Computation, module: Module) -> float:
    """The part of a value that a fusion reads: 1, but where only slices of it are taken."""
    users = inside.users.get(name, ())
    return min(1.0, sum(_share_of(user, name, inside, module) for user in users))


def _share_of(user: Instruction, name: str, inside: Computation, module: Module) -> float:
    is_first = user.operands[0] == name
    if user.opcode in _VIEWS and is_first:
        is_output = user.name == inside.root.name
        return 1.0 if is_output else _share_read(user.name, inside, module)
    if user.opcode in _SLICES and is_first:
        return math.prod(user.shapes[0].dims) / math.prod(inside.shapes(name)[0].dims)
    if user.opcode == "fusion":
        nested = module.computations[user.called["calls"][0]]
        return _share_read(nested.parameters[user.operands.index(name)].name, nested, module)
    # Neither what is updated in place nor what is handed on is read.
    is_kept = (user.opcode == "dynamic-update-slice" and is_first) or _hands_on(user, name, inside)
    return 0.0 if is_kept else 1.0


def _hands_on(user: Instruction, name: str, inside: Computation) -> bool:
    if user.opcode == "tuple":
        return inside.instructions[name].opcode == "parameter"
    return _is_begun_elsewhere(user) or "AsyncCollectiveDone" in user.attributes


def _is_begun_elsewhere(instruction: Instruction) -> bool:
    """Fusions that run beside a collective write it down again; it is counted where it starts. Sums
    that scatter are all-reduces within a fusion too, but of no chain.
    """
    is_gather = instruction.opcode == "all-gather"
    return is_gather or (
        instruction.opcode == "all-reduce" and "chain_id=" in instruction.attributes
    )


def _written(instruction: Instruction, inside: Computation, module: Module) -> int:
    root = inside.root
    if root.opcode != "tuple":
        outputs = [root]
    else:
        outputs = [inside.instructions[name] for name in root.operands]
    if len(outputs) != len(instruction.shapes):
        return sum(shape.hbm_size for shape in instruction.shapes)
    pairs = zip(instruction.shapes, outputs)
    return sum(min(shape.hbm_size, _made(inside, output, module)) for shape, output in pairs)


def _made(computation: Computation, output: Instruction, module: Module) -> int:
    """How many bytes of an output are new: of an update in place the update, of an operand none."""
    for source, of in _sources(computation, output, module):
        if of.opcode == "parameter" or _is_begun_elsewhere(of):
            return 0
        if of.opcode == "dynamic-update-slice":
            return sum(shape.size for shape in source.shapes(of.operands[1]))
    return sum(shape.size for shape in output.shapes)


def _sources(
    computation: Computation, output: Instruction, module: Module
) -> Iterator[tuple[Computation, Instruction]]:
    """What makes an output, behind the views and the fusions it passed."""
    yield computation, output
    if output.opcode == "bitcast":
        yield from _sources(computation, computation.instructions[output.operands[0]], module)
    elif output.opcode == "fusion":
        inside = module.computations[output.called["calls"][0]]
        if inside.root.opcode != "parameter" and inside.root.opcode != "tuple":
            yield from _sources(inside, inside.root, module)
