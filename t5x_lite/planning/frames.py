"""The tables at the head of HLO text: the Python functions that were being traced, by frame."""

import dataclasses
import re
from collections.abc import Mapping

_TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
_QUOTED = re.compile(r'(\d+) "(.*)"$')
_LOCATION = re.compile(r"(\d+) \{.*?\bfunction_name_id=(\d+)")
_FRAME = re.compile(r"(\d+) \{file_location_id=(\d+)(?: parent_frame_id=(\d+))?")


@dataclasses.dataclass(frozen=True)
class Frames:
    """Frames by key, each with its function and the frame that called it."""

    functions: Mapping[int, str]
    callers: Mapping[int, int]

    def stack(self, frame: int | None) -> tuple[str, ...]:
        """The functions of a frame, the outermost first; empty where the text has no tables."""
        stack: list[str] = []
        while frame is not None and frame in self.functions:
            stack.append(self.functions[frame])
            frame = self.callers[frame]
        return tuple(reversed(stack))


def read_frames(head: str) -> Frames:
    """The frames of a program; `head` is what stands before its first computation."""
    tables: dict[str, list[str]] = {name: [] for name in _TABLES}
    rows: list[str] = []
    for line in head.splitlines():
        rows = tables[line] if line in tables else rows
        rows.append(line)
    names = {key: name for key, name in _matches(_QUOTED, tables["FunctionNames"])}
    locations = {key: names.get(of, "") for key, of in _matches(_LOCATION, tables["FileLocations"])}
    frames = _matches(_FRAME, tables["StackFrames"])
    functions = {int(key): locations.get(location, "") for key, location, _ in frames}
    # Some versions write each caller's key plus one. The first frame has no caller, so it tells.
    shift = int(frames[0][2] or 0) if frames else 0
    return Frames(functions, {int(key): int(caller or 0) - shift for key, _, caller in frames})


def _matches(pattern: re.Pattern[str], lines: list[str]) -> list[tuple[str, ...]]:
    return [found.groups() for line in lines if (found := pattern.match(line))]
