"""One thing to measure, as a value that travels to a process of its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

OURS, PEER = "ours", "transformers"


@dataclasses.dataclass(frozen=True)
class Job:
    """A function of a module in `parts`, and the words that it is called with.

    Attributes:
        name: of its result; a result of this name is not measured again.
        part: of the command line, and the table that it stands in.
        options: as JSON.
        seconds: that it takes where nothing goes wrong; with less left it does not begin.
        packages: without which it cannot run.
        arm: who runs it, where peers do as well.
        again: whether it is an arm's further turn with what it has been measured with.
        anywhere: also where there is no accelerator.
    """

    name: str
    part: str
    function: str
    options: Mapping[str, Any]
    seconds: float
    packages: tuple[str, ...] = ()
    arm: str = OURS
    again: bool = False
    anywhere: bool = False
