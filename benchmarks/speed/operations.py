"""Where the seconds of a compiled program go: its operations under JAX's profiler, added up by the
pass that they are of and the code that traced them.

A processor's seconds: those of threads that work side by side add up. XLA names an event as the
instruction of the program; loops and calls are left out, what runs inside of them is counted.
"""

import collections
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import jax

from t5x_lite.planning import hlo
from t5x_lite.planning.causes import Causes

# Their events last as long as those of what they run.
_OUTER = ("while", "call", "conditional")
_OTHER = "what is copied or filled"
_NANOSECOND = 1e-9


def seconds_by_cause(program: str, run: Callable[[], object]) -> dict[str, float]:
    """The seconds of one call, the most first, as "backward: Attention".

    Args:
        program: the text of what `run` calls, optimized.
        run: waits for its result.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        return _added_up(program, _events(pathlib.Path(folder)))


def _added_up(program: str, events: Iterator[tuple[str, float]]) -> dict[str, float]:
    """Of events that are instructions of the program."""
    module = hlo.parse(program)
    causes = Causes(module)
    places = {each.name: (each, of) for of in module.computations.values() for each in of}
    found: dict[str, float] = collections.defaultdict(float)
    for name, seconds in events:
        instruction, computation = places.get(name, (None, None))
        if instruction is None or computation is None or instruction.opcode in _OUTER:
            continue
        cause = causes.of(instruction, computation) if instruction.operands else None
        found[_words(cause.phase, cause.function) if cause else _OTHER] += seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _words(phase: str, functions: str) -> str:
    """With the last class of a stack of functions, or the last function where there is none."""
    names = functions.split(" > ")
    classes = [name.partition(".")[0] for name in names if name[:1].isupper()]
    where = (classes or names)[-1]
    return f"{phase}: {where}" if phase and where else _OTHER


def _events(folder: pathlib.Path) -> Iterator[tuple[str, float]]:
    """Names and seconds of all that the profiler saw."""
    for file in folder.rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for line in plane.lines:
                for event in line.events:
                    yield event.name, event.duration_ns * _NANOSECOND
