"""What is varied, and how fast costs may grow with it: each is a row of CURVES.

An exponent is the slope between the first and the last point of a curve with both axes logarithmic:
1 is in proportion, 2 quadratic, 0 not at all.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

_MEASURES = "benchmarks.growth.measures"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """One quantity, its values, and what is measured at each.

    Attributes:
        title: what is measured.
        x: what the quantity is called.
        values: from small to large.
        function: of `measures`, called with the value by the name `argument`, and `options`.
        shown: names of the measured numbers and what they are called.
        most: how fast a number may grow, and why, in words.
    """

    title: str
    x: str
    values: Sequence[int]
    function: str
    argument: str
    shown: Mapping[str, str]
    most: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> tuple[str, str]:
        """Module and function."""
        return _MEASURES, self.function


_STEP = {"seconds": "a step, s", "memory_gb": "memory, GB"}

CURVES = {
    "batch": Curve(
        title="Training, by rows of a batch",
        x="rows",
        values=(2, 4, 8, 16, 32),
        function="train",
        argument="batch",
        shown=_STEP,
        most="1: each row is as much work, and the optimizer's part does not grow",
    ),
    "length": Curve(
        title="Training, by length",
        x="tokens of inputs and of targets",
        values=(64, 128, 256, 512, 1024),
        function="train",
        argument="length",
        shown=_STEP,
        most="between 1 and 2: attention looks at all pairs",
    ),
    "layers": Curve(
        title="Training, by layers",
        x="layers of each stack",
        values=(2, 4, 8, 16),
        function="train",
        argument="layers",
        shown=_STEP | {"compile_seconds": "compiling, s"},
        most="1; compiling 0, as one layer is compiled for all",
    ),
    "devices": Curve(
        title="Training, by simulated devices that share the cores",
        x="devices",
        values=(1, 2, 4, 8),
        function="train",
        argument="devices",
        shown=_STEP,
        most="0 for the work, which is divided; each has its own copy of the parameters",
        options={"batch": 8},
    ),
    "tasks": Curve(
        title="Data, by tasks of a mixture",
        x="tasks",
        values=(1, 2, 4, 8, 16),
        function="mixture",
        argument="tasks",
        shown={
            "seconds": "a batch, s",
            "first_seconds": "the first batch, s",
            "position_mb": "a saved position, MB",
        },
        most="0 for a batch; 1 for the others, since each task has a buffer of its own",
    ),
    "resumed": Curve(
        title="Data, by steps before a restart",
        x="steps",
        values=(200, 400, 800, 1600, 3200),
        function="resume",
        argument="steps",
        shown={"seconds": "until the next batch, s"},
        most="0: the position is restored, and not read up to",
    ),
    "checkpoint": Curve(
        title="Checkpoints, by size",
        x="MB of a state",
        values=(16, 64, 256, 1024),
        function="checkpoint",
        argument="megabytes",
        shown={
            "seconds": "saving, s",
            "restore_seconds": "restoring, s",
            "memory_gb": "memory to restore, GB",
        },
        most="1",
    ),
    "decoded": Curve(
        title="Greedy decoding, by tokens",
        x="tokens of an answer",
        values=(16, 32, 64, 128, 256, 512),
        function="decode",
        argument="tokens",
        shown={"seconds": "4 answers, s"},
        most="1, and more where keys and values outweigh the weights",
    ),
    "beams": Curve(
        title="Beam search, by beams",
        x="beams",
        values=(1, 2, 4, 8, 16),
        function="decode",
        argument="beams",
        shown={"seconds": "4 answers, s"},
        most="1",
        options={"tokens": 64},
    ),
}
