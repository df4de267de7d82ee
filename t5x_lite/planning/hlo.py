"""HLO text, as `compiled.as_text()` gives it -> computations and their instructions.

Line by line and no further than is asked: the text of a large program has 100 MB, and most of its
instructions are inside of fusions, where only products and slices count. Of a compiled program the
instructions of a computation stand in the order in which they run.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping

from t5x_lite.planning.frames import Frames, read_frames
from t5x_lite.planning.shapes import Shape, shapes_of

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) (?:\(.*\) -> .* )?\{$")
# The first " word(" ends the type: layouts hold T(8,128) only behind a colon or a parenthesis.
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_OPERAND = re.compile(r"%([\w.\-]+)")
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')
_FRAME = re.compile(r"stack_frame_id=(\d+)")
_CALLED = re.compile(
    r"\b(calls|to_apply|body|condition|true_computation|false_computation|"
    r"branch_computations|called_computations)=(\{[^}]*\}|%?[\w.\-]+)"
)
_NAME = re.compile(r"[\w.\-]+")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line.

    Attributes:
        type: of the result, as written; `shapes` are its arrays.
        arguments: what stands in the parentheses: operands, a parameter's number, a constant.
        attributes: what follows them, as written.
    """

    name: str
    opcode: str
    type: str
    arguments: str
    attributes: str
    is_root: bool

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The arrays of the result."""
        return shapes_of(self.type)

    @functools.cached_property
    def operands(self) -> tuple[str, ...]:
        """The names of the instructions whose results it takes."""
        return tuple(_OPERAND.findall(self.arguments))

    @functools.cached_property
    def called(self) -> Mapping[str, tuple[str, ...]]:
        """Attribute -> the computations it names: calls, body, branch_computations ..."""
        found = _CALLED.findall(self.attributes)
        return {key: tuple(_NAME.findall(names)) for key, names in found}

    @property
    def op_name(self) -> str:
        """Where JAX traced it, as jit(step)/transpose(jvp())/dot_general; or an argument's name."""
        found = _OP_NAME.search(self.attributes)
        return found[1].replace("\\'", "'") if found else ""

    @property
    def stack_frame(self) -> int | None:
        """The key of the Python frame that traced it, for `Frames`."""
        found = _FRAME.search(self.attributes)
        return int(found[1]) if found else None


@dataclasses.dataclass(frozen=True)
class Computation:
    """A list of instructions, by name and in order."""

    name: str
    instructions: dict[str, Instruction]

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.instructions.values())

    @functools.cached_property
    def root(self) -> Instruction:
        """What it returns."""
        return next(each for each in reversed(self.instructions.values()) if each.is_root)

    @functools.cached_property
    def parameters(self) -> Mapping[int, Instruction]:
        """Number -> parameter."""
        return {int(each.arguments): each for each in self if each.opcode == "parameter"}

    @functools.cached_property
    def users(self) -> Mapping[str, tuple[Instruction, ...]]:
        """Name -> the instructions that take its result."""
        users: dict[str, list[Instruction]] = {}
        for each in self:
            for operand in dict.fromkeys(each.operands):
                users.setdefault(operand, []).append(each)
        return {name: tuple(of) for name, of in users.items()}

    def shapes(self, name: str) -> tuple[Shape, ...]:
        """The arrays of an operand."""
        return self.instructions[name].shapes


@dataclasses.dataclass(frozen=True)
class Module:
    """A program."""

    computations: Mapping[str, Computation]
    entry: Computation
    frames: Frames


def parse(text: str) -> Module:
    """The computations of a program, loops and fusions as the compiler left them.

    Raises:
        ValueError: the text has no entry computation, so it is no HLO of a whole program.
    """
    computations: dict[str, Computation] = {}
    entry = None
    instructions: dict[str, Instruction] = {}
    head, _, _ = text.partition("\n%")
    for line in text.splitlines():
        if line.startswith(" "):
            if instruction := _instruction(line):
                instructions[instruction.name] = instruction
        elif header := _COMPUTATION.match(line):
            # Filled by the lines that follow it.
            instructions = {}
            computations[header[2]] = Computation(header[2], instructions)
            entry = computations[header[2]] if header[1] else entry
    if entry is None:
        raise ValueError("this text has no ENTRY computation: compiled.as_text() has one")
    return Module(computations, entry, read_frames(head))


def _instruction(line: str) -> Instruction | None:
    found = _INSTRUCTION.match(line)
    if not found:
        return None
    root, name, result, opcode, rest = found.groups()
    end = _closing(rest)
    return Instruction(name, opcode, result, rest[:end], rest[end + 1 :], bool(root))


def _closing(rest: str) -> int:
    """Where the parenthesis ends that stands before `rest`."""
    end = rest.find(")")
    depth = rest.count("(", 0, end)
    while depth and end != -1:
        following = rest.find(")", end + 1)
        depth += rest.count("(", end, following) - 1
        end = following
    return end if end != -1 else len(rest)
